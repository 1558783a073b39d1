//! Retrying a run that failed or was cancelled: which of its rows begin anew.

use serde_json::json;
use sqlx::PgConnection;

use spine_core::names;
use spine_core::run::RunStatus;

use crate::step::{AuditEntry, insert_audit};
use crate::{RunRow, Store, StoreError, row};

/// Where a retry begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryFrom {
    /// What ended well stands, unless it was undone; everything else is done again, on the same context.
    Done,
    /// Nothing stands: context and tasks are decided anew.
    Start,
}

impl RetryFrom {
    fn as_str(self) -> &'static str {
        match self {
            RetryFrom::Done => "done",
            RetryFrom::Start => "start",
        }
    }
}

impl Store {
    /// Has a run begin again, for the next execution that claims it, and returns it as it then is. A run that was
    /// asked to before and that no execution has taken yet is returned as it is. Fails with
    /// [`StoreError::NotRetryable`] for one that goes on or ended well.
    pub async fn retry_run(&self, id: &str, from: RetryFrom, by: &str) -> Result<RunRow, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let run: Option<RunRow> = sqlx::query_as("select * from run where id = $1 for update")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        let run = run.ok_or_else(|| StoreError::UnknownRun(id.to_owned()))?;
        match run.status {
            RunStatus::Failed | RunStatus::Cancelled => {}
            RunStatus::Running if run.temporal_run_id.is_none() => return Ok(run),
            status => return Err(StoreError::NotRetryable { run: id.to_owned(), status }),
        }
        let retry = run.retries + 1;
        match from {
            RetryFrom::Done => reset(&mut transaction, id, retry).await?,
            RetryFrom::Start => forget(&mut transaction, id).await?,
        }
        let run: RunRow = sqlx::query_as(
            "update run set status = 'running', error = null, closed_at = null, temporal_run_id = null, retries = $2
            where id = $1 returning *",
        )
        .bind(id)
        .bind(row::integer(retry)?)
        .fetch_one(&mut *transaction)
        .await?;
        let fact = AuditEntry {
            fact: "retried".into(),
            discriminator: names::retry_suffix(retry),
            detail: json!({"by": by, "from": from.as_str(), "retry": retry}),
        };
        insert_audit(&mut transaction, id, &[fact]).await?;
        transaction.commit().await?;
        Ok(run)
    }
}

/// What was undone is done again under names of its own; what failed, under the names that it had, since nobody
/// knows how far it came. What was skipped is decided again.
async fn reset(connection: &mut PgConnection, run: &str, retry: u32) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update task t set status = 'created', output = null, closed_at = null, attempts = 0, retry = $2
        where run = $1 and status = 'completed' and exists (
            select from task u
            where u.run = $1 and u.task = t.task || '.undo' and u.index = t.index and u.status = 'completed')",
    )
    .bind(run)
    .bind(row::integer(retry)?)
    .execute(&mut *connection)
    .await?;
    sqlx::query("delete from task where run = $1 and (status = 'skipped' or task like '%.undo')")
        .bind(run)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "update task set status = 'created', error = null, closed_at = null, attempts = 0
        where run = $1 and status in ('failed', 'cancelled')",
    )
    .bind(run)
    .execute(connection)
    .await?;
    Ok(())
}

async fn forget(connection: &mut PgConnection, run: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from task where run = $1").bind(run).execute(&mut *connection).await?;
    sqlx::query("update run set context = null, context_hash = null where id = $1")
        .bind(run)
        .execute(connection)
        .await?;
    Ok(())
}
