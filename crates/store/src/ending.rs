//! How a task ends outside of Temporal: its row first, and with it what the world and the audit are told. The caller
//! holds the run's lock, and has the run woken.

use serde_json::Value;
use sqlx::PgConnection;

use spine_core::event::Event;
use spine_core::run::Failure;

use crate::outbox::{OutboxEvent, insert_events};
use crate::row;
use crate::step::{AuditEntry, insert_audit};

/// What is written beside the rows of a task.
pub(crate) struct Told {
    pub(crate) event: Event,
    pub(crate) audit: AuditEntry,
}

/// Ends a task that is open; false if it is not.
pub(crate) async fn close(
    connection: &mut PgConnection,
    run: &str,
    task: &str,
    index: u32,
    result: Result<&Value, &Failure>,
) -> Result<bool, sqlx::Error> {
    let closed = sqlx::query(
        "update task set status = case when $5::text is null then 'completed' else 'failed' end,
            output = $4::json, error = $5::json, closed_at = now()
        where run = $1 and task = $2 and index = $3 and status = 'created'",
    )
    .bind(run)
    .bind(task)
    .bind(row::integer(index)?)
    .bind(row::optional_text(result.ok())?)
    .bind(row::optional_text(result.err())?)
    .execute(connection)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// Writes what the audit keeps and the world is told of a run.
pub(crate) async fn tell(connection: &mut PgConnection, run: &str, told: Told) -> Result<(), sqlx::Error> {
    insert_audit(connection, run, &[told.audit]).await?;
    let event = OutboxEvent { key: run.to_owned(), event: told.event, run: Some(run.to_owned()) };
    insert_events(connection, &[event]).await?;
    Ok(())
}
