//! Retrying a run that failed or was cancelled: which of its rows begin anew, and which of the runs that it called.

use serde_json::{Value, json};
use sqlx::PgConnection;

use spine_core::run::RunStatus;
use spine_core::{names, notice};

use crate::step::{AuditEntry, insert_audit};
use crate::{RunRow, Store, StoreError, instances, row};

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

/// What was asked to begin again.
#[derive(Clone, Debug)]
pub struct Retried {
    /// The run, as it then is.
    pub run: RunRow,
    /// The runs that it called, and those that these called, that begin again with it: they are started by who
    /// called them.
    pub called: Vec<String>,
}

impl Store {
    /// Has a run begin again, for the next execution that claims it, and with it the runs of its calls that failed or
    /// were cancelled. A run that was asked to before and that no execution has taken yet is returned as it is. Fails
    /// with [`StoreError::NotRetryable`] for one that goes on or ended well.
    pub async fn retry_run(&self, id: &str, from: RetryFrom, by: &str) -> Result<Retried, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let run: Option<RunRow> = sqlx::query_as("select * from run where id = $1 for update")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        let run = run.ok_or_else(|| StoreError::UnknownRun(id.to_owned()))?;
        match run.status {
            RunStatus::Failed | RunStatus::Cancelled => {}
            RunStatus::Running if run.temporal_run_id.is_none() && run.retries > 0 => {
                return Ok(Retried { run, called: Vec::new() });
            }
            status => return Err(StoreError::NotRetryable { run: id.to_owned(), status }),
        }
        let run = begin_again(&mut transaction, &run, from, json!({"by": by})).await?;
        let called = begin_calls_again(&mut transaction, &run, by).await?;
        transaction.commit().await?;
        Ok(Retried { run, called })
    }
}

/// Has one run begin again, and keeps in its audit `who` asked for it.
async fn begin_again(
    connection: &mut PgConnection,
    run: &RunRow,
    from: RetryFrom,
    who: Value,
) -> Result<RunRow, StoreError> {
    let retry = run.retries + 1;
    match from {
        RetryFrom::Done => reset(connection, &run.id, retry).await?,
        RetryFrom::Start => forget(connection, &run.id).await?,
    }
    instances::take_back(connection, &run.id, from).await?;
    let run: RunRow = sqlx::query_as(
        "update run set status = 'running', error = null, closed_at = null, temporal_run_id = null, retries = $2
        where id = $1 returning *",
    )
    .bind(&run.id)
    .bind(row::integer(retry)?)
    .fetch_one(&mut *connection)
    .await?;
    let mut detail = json!({"from": from.as_str(), "retry": retry});
    if let (Some(detail), Value::Object(who)) = (detail.as_object_mut(), who) {
        detail.extend(who);
    }
    let fact = AuditEntry { fact: "retried".into(), discriminator: names::retry_suffix(retry), detail };
    insert_audit(connection, &run.id, &[fact]).await?;
    Ok(run)
}

/// The same for what a run called that failed or was cancelled, and so on down. A call that was undone, or that is
/// decided anew, calls a run of another name.
async fn begin_calls_again(connection: &mut PgConnection, run: &RunRow, by: &str) -> Result<Vec<String>, StoreError> {
    let (mut begun, mut callers) = (Vec::new(), vec![run.clone()]);
    while let Some(caller) = callers.pop() {
        for called in unfinished_calls(connection, &caller).await? {
            let who = json!({"by": by, "with": caller.id});
            callers.push(begin_again(connection, &called, RetryFrom::Done, who).await?);
            begun.push(called.id);
        }
    }
    Ok(begun)
}

/// The runs of a run's calls that are to be made, and that failed or were cancelled before.
async fn unfinished_calls(connection: &mut PgConnection, caller: &RunRow) -> Result<Vec<RunRow>, StoreError> {
    let calls: Vec<(String, i32, i32)> = sqlx::query_as(
        "select task, index, retry from task where run = $1 and uses = 'activity' and status = 'created'",
    )
    .bind(&caller.id)
    .fetch_all(&mut *connection)
    .await?;
    let number = |value: i32| u32::try_from(value).unwrap_or_default();
    let events: Vec<String> = calls
        .iter()
        .map(|(task, index, retry)| notice::call_id(&caller.id, task, number(*index), number(*retry)))
        .collect();
    let called = sqlx::query_as(
        "select * from run where trigger = 'call' and event_source = $1 and event_id = any($2)
            and status in ('failed', 'cancelled')
        order by id for update",
    )
    .bind(notice::source(&caller.activity))
    .bind(events)
    .fetch_all(connection)
    .await?;
    Ok(called)
}

/// What was undone is done again under names of its own; what failed, under the names that it had, since nobody
/// knows how far it came. All of it is decided again first, when what it needs has ended: what that gives now may be
/// something else. What was skipped is decided again as well.
async fn reset(connection: &mut PgConnection, run: &str, retry: u32) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update task t set status = 'created', request = null, output = null, closed_at = null, attempts = 0,
            retry = $2
        where run = $1 and status = 'completed' and exists (
            select from task u
            where u.run = $1 and u.task = t.task || '.undo' and u.index = t.index and u.status = 'completed')",
    )
    .bind(run)
    .bind(row::integer(retry)?)
    .execute(&mut *connection)
    .await?;
    // One that was skipped and has a kind was decided once, and keeps its names. What was skipped for an event of an
    // instance stays so.
    sqlx::query(
        "delete from task
        where run = $1 and (status = 'skipped' and uses is null and ordinal is null or task like '%.undo')",
    )
    .bind(run)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "update task set status = 'created', request = null, error = null, reason = null, closed_at = null,
            attempts = 0
        where run = $1 and (status in ('failed', 'cancelled') or status = 'skipped' and uses is not null)",
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
