//! One step of a run: all that one advance of it decided, in one transaction.

use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use spine_core::planning::Outcome;
use spine_core::run::{Failure, FailureClass, RunStatus, TaskStatus};

use crate::asking::{self, Asked, Escalated};
use crate::inbox::{self, NewWait};
use crate::instances::{self, Fold};
use crate::outbox::{OutboxEvent, insert_events};
use crate::{Store, StoreError, row, wake};

/// What one advance of a run did and decided. The same record may be committed any number of times: its
/// rows are found by what they stand for, so only the first changes anything.
#[derive(Clone, Debug, Default)]
pub struct StepRecord {
    /// The run's id.
    pub run: String,
    /// Tasks that have ended; one that has been ended before keeps what it has.
    pub results: Vec<FinishedTask>,
    /// Task instances that were decided.
    pub created: Vec<NewTask>,
    /// What people are asked with those.
    pub asked: Vec<Asked>,
    /// What others are asked now, because nobody answered in time.
    pub escalated: Vec<Escalated>,
    /// What those wait for that wait for an event: of the instances that were decided, and of those that were decided
    /// before and are not started yet.
    pub waits: Vec<NewWait>,
    /// Tasks that were not, with the reason.
    pub skipped: Vec<SkippedTask>,
    /// The events that an instance folds.
    pub fold: Option<Fold>,
    /// The events of an instance, by their ordinal, for which all has ended.
    pub settled: Vec<u32>,
    /// How the run ended, if it did.
    pub outcome: Option<Outcome>,
    /// What the audit keeps.
    pub audit: Vec<AuditEntry>,
    /// What the world is told, in this order.
    pub outbox: Vec<OutboxEvent>,
}

/// How a task instance ended.
#[derive(Clone, Debug)]
pub struct FinishedTask {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// Its output, or why it failed for good.
    pub result: Result<Value, Failure>,
    /// How many attempts it took.
    pub attempts: u32,
}

/// A task instance that was decided.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// The word after `uses:`.
    pub uses: String,
    /// `Created`, or `Completed` for one that the step itself performs, such as `emit`.
    pub status: TaskStatus,
    /// The retry of the run whose names its effects have.
    pub retry: u32,
    /// Of an instance: the ordinal of the event that decided it.
    pub ordinal: Option<u32>,
    /// Whether its task is decided for each event.
    pub for_event: bool,
    /// The rendered work.
    pub request: Value,
    /// The output of one that is completed.
    pub output: Option<Value>,
}

/// A task that was not decided.
#[derive(Clone, Debug)]
pub struct SkippedTask {
    /// The task's id.
    pub task: String,
    /// Of a task that runs for each event: the index that its first instance would have. 0 for others.
    pub index: u32,
    /// Of such a task: the ordinal of the event.
    pub ordinal: Option<u32>,
    /// Why not.
    pub reason: String,
}

/// A fact that is kept for ever.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// What kind of fact: `decided`, `ended`.
    pub fact: String,
    /// Tells two facts of one kind in one run apart. Deterministic: a repeated step states it again.
    pub discriminator: String,
    /// The fact.
    pub detail: Value,
}

impl Store {
    /// Writes a step: results, decided and skipped tasks, the outcome, audit and outbox, all or nothing. A wait whose
    /// event is there already has ended with that. Fails with [`StoreError::Overtaken`] if it ends what a person or an
    /// event has ended meanwhile, or folds on a state that is not the last: it was decided too early.
    pub async fn commit_step(&self, step: &StepRecord) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        inbox::lock_for_step(&mut transaction, step).await?;
        lock_run(&mut transaction, &step.run).await?;
        asking::check(&mut transaction, step).await?;
        instances::write(&mut transaction, &step.run, step.fold.as_ref(), &step.settled).await?;
        write_created(&mut transaction, step).await?;
        asking::write(&mut transaction, step).await?;
        write_results(&mut transaction, step).await?;
        write_skipped(&mut transaction, step).await?;
        write_outcome(&mut transaction, step).await?;
        let wakes = match &step.outcome {
            Some(_) => instances::end(&mut transaction, &step.run).await?,
            None => false,
        };
        insert_audit(&mut transaction, &step.run, &step.audit).await?;
        let written = insert_events(&mut transaction, &step.outbox).await?;
        let ended_waits = inbox::open_waits(&mut transaction, step).await?;
        transaction.commit().await?;
        if written > 0 || ended_waits {
            self.doorbell.ring(&mut connection).await;
        }
        if wakes {
            wake::ring(&mut connection).await;
        }
        Ok(())
    }
}

/// Takes the run's row lock. Whoever holds it takes outbox ids next, so a run's ids are in commit order.
pub(crate) async fn lock_run(connection: &mut PgConnection, run: &str) -> Result<(), StoreError> {
    let found = sqlx::query("select 1 from run where id = $1 for update").bind(run).fetch_optional(connection).await?;
    found.map(drop).ok_or_else(|| StoreError::UnknownRun(run.to_owned()))
}

async fn write_results(connection: &mut PgConnection, step: &StepRecord) -> Result<(), sqlx::Error> {
    if step.results.is_empty() {
        return Ok(());
    }
    let results = &step.results;
    let status = |one: &FinishedTask| match &one.result {
        Ok(_) => TaskStatus::Completed,
        Err(failure) if failure.class == FailureClass::Cancelled => TaskStatus::Cancelled,
        Err(_) => TaskStatus::Failed,
    };
    sqlx::query(
        "update task t set status = r.status, output = r.output::json, error = r.error::json,
            attempts = greatest(t.attempts, r.attempts), closed_at = now()
        from unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::int[])
            as r (task, index, status, output, error, attempts)
        where t.run = $1 and t.task = r.task and t.index = r.index and t.status = 'created'",
    )
    .bind(&step.run)
    .bind(collect(results, |one| Ok(one.task.as_str()))?)
    .bind(collect(results, |one| row::integer(one.index))?)
    .bind(collect(results, |one| Ok(status(one).as_str()))?)
    .bind(collect(results, |one| row::optional_text(one.result.as_ref().ok()))?)
    .bind(collect(results, |one| row::optional_text(one.result.as_ref().err()))?)
    .bind(collect(results, |one| row::integer(one.attempts))?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_created(connection: &mut PgConnection, step: &StepRecord) -> Result<(), sqlx::Error> {
    if step.created.is_empty() {
        return Ok(());
    }
    let created = &step.created;
    sqlx::query(
        "insert into task (run, task, index, uses, status, request, output, retry, ordinal, closed_at)
        select $1, c.task, c.index, c.uses, c.status, c.request::json, c.output::json, c.retry, c.ordinal,
            case when c.status <> 'created' then now() end
        from unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[])
            as c (task, index, uses, status, request, output, retry, ordinal)
        on conflict (run, task, index) do update set
            -- The time of the first decision stays: the instances of a task are in order by it.
            status = excluded.status, request = excluded.request, output = excluded.output,
            ordinal = excluded.ordinal, begun_at = now(), closed_at = excluded.closed_at
        where task.status = 'created' and task.request is null",
    )
    .bind(&step.run)
    .bind(collect(created, |one| Ok(one.task.as_str()))?)
    .bind(collect(created, |one| row::integer(one.index))?)
    .bind(collect(created, |one| Ok(one.uses.as_str()))?)
    .bind(collect(created, |one| Ok(one.status.as_str()))?)
    .bind(collect(created, |one| row::text(&one.request))?)
    .bind(collect(created, |one| row::optional_text(one.output.as_ref()))?)
    .bind(collect(created, |one| row::integer(one.retry))?)
    .bind(collect(created, |one| one.ordinal.map(row::integer).transpose())?)
    .execute(&mut *connection)
    .await?;
    // What a retry left to be decided, and is not there any more: a `forEach` gave fewer.
    sqlx::query(
        "delete from task t using unnest($2::text[], $3::int[]) as c (task, ordinal)
        where t.run = $1 and t.task = c.task and (c.ordinal is null or t.ordinal = c.ordinal)
            and t.status = 'created' and t.request is null",
    )
    .bind(&step.run)
    .bind(collect(created, |one| Ok(one.task.as_str()))?)
    .bind(collect(created, |one| one.ordinal.filter(|_| one.for_event).map(row::integer).transpose())?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_skipped(connection: &mut PgConnection, step: &StepRecord) -> Result<(), sqlx::Error> {
    if step.skipped.is_empty() {
        return Ok(());
    }
    // A retry may have left them to be decided: their names stay in the row, for the next one.
    sqlx::query(
        "update task t set status = 'skipped', reason = s.reason, closed_at = now()
        from unnest($2::text[], $3::text[], $4::int[]) as s (task, reason, ordinal)
        where t.run = $1 and t.task = s.task and (s.ordinal is null or t.ordinal = s.ordinal)
            and t.status = 'created' and t.request is null",
    )
    .bind(&step.run)
    .bind(collect(&step.skipped, |one| Ok(one.task.as_str()))?)
    .bind(collect(&step.skipped, |one| Ok(one.reason.as_str()))?)
    .bind(collect(&step.skipped, |one| one.ordinal.map(row::integer).transpose())?)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "insert into task (run, task, index, status, reason, ordinal, closed_at)
        select $1, s.task, s.index, 'skipped', s.reason, s.ordinal, now()
        from unnest($2::text[], $3::int[], $4::text[], $5::int[]) as s (task, index, reason, ordinal)
        on conflict do nothing",
    )
    .bind(&step.run)
    .bind(collect(&step.skipped, |one| Ok(one.task.as_str()))?)
    .bind(collect(&step.skipped, |one| row::integer(one.index))?)
    .bind(collect(&step.skipped, |one| Ok(one.reason.as_str()))?)
    .bind(collect(&step.skipped, |one| one.ordinal.map(row::integer).transpose())?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_outcome(connection: &mut PgConnection, step: &StepRecord) -> Result<(), sqlx::Error> {
    let (status, error) = match &step.outcome {
        None => return Ok(()),
        Some(Outcome::Completed) => (RunStatus::Completed, None),
        Some(Outcome::Failed(failure)) => (RunStatus::Failed, Some(failure)),
        Some(Outcome::Cancelled(failure)) => (RunStatus::Cancelled, Some(failure)),
    };
    sqlx::query("update run set status = $2, error = $3::json, closed_at = now() where id = $1 and status = 'running'")
        .bind(&step.run)
        .bind(status.as_str())
        .bind(row::optional_text(error)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes facts that are not there yet.
pub(crate) async fn insert_audit(
    connection: &mut PgConnection,
    run: &str,
    audit: &[AuditEntry],
) -> Result<(), sqlx::Error> {
    if audit.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into audit (run, fact, discriminator, detail)
        select $1, a.fact, a.discriminator, a.detail::json
        from unnest($2::text[], $3::text[], $4::text[]) with ordinality as a (fact, discriminator, detail, n)
        order by a.n
        on conflict do nothing",
    )
    .bind(run)
    .bind(collect(audit, |one| Ok(one.fact.as_str()))?)
    .bind(collect(audit, |one| Ok(one.discriminator.as_str()))?)
    .bind(collect(audit, |one| row::text(&one.detail))?)
    .execute(connection)
    .await?;
    Ok(())
}

/// One column of a batch.
pub(crate) fn collect<'a, T, U>(
    items: &'a [T],
    column: impl Fn(&'a T) -> Result<U, sqlx::Error>,
) -> Result<Vec<U>, sqlx::Error> {
    items.iter().map(column).collect()
}
