//! What a step of a run asks of people.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::step::{StepRecord, collect};
use crate::{Store, StoreError, row};

/// People who are asked to do a task instance that the same step decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// Who.
    pub assignees: Vec<String>,
    /// How long they have.
    pub deadline: Option<Duration>,
}

/// Others who are asked, because the first did not answer in time. An instance is escalated once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalated {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// Who.
    pub assignees: Vec<String>,
    /// How long they have from now on.
    pub deadline: Duration,
}

/// An instance that was escalated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// How much time is left by the database's clock.
    pub left: Duration,
}

impl Store {
    /// The instances of a run that were escalated.
    pub async fn escalations_of(&self, run: &str) -> Result<Vec<Escalation>, StoreError> {
        let rows = sqlx::query(
            "select task, index, greatest(extract(epoch from due_at - clock_timestamp()), 0)::float8 as seconds
            from human_task where run = $1 and escalated_at is not null",
        )
        .bind(run)
        .try_map(|found: PgRow| {
            let left = Duration::try_from_secs_f64(found.try_get("seconds")?).unwrap_or_default();
            Ok(Escalation { task: found.try_get("task")?, index: row::number(&found, "index")?, left })
        })
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}

/// Refuses a step that ends or escalates what a person or an event has ended. The caller holds the run's lock.
pub(crate) async fn check(connection: &mut PgConnection, step: &StepRecord) -> Result<(), StoreError> {
    let ended = step.results.iter().map(|one| (one.task.as_str(), one.index));
    let escalated = step.escalated.iter().map(|one| (one.task.as_str(), one.index));
    let touched: Vec<(&str, u32)> = ended.chain(escalated).collect();
    if touched.is_empty() {
        return Ok(());
    }
    let overtaken = sqlx::query(
        "select 1 from unnest($2::text[], $3::int[]) as s (task, index)
        where exists (
                select from human_task h
                where h.run = $1 and h.task = s.task and h.index = s.index and h.ended_by is not null)
            or exists (
                select from audit a join run r on r.id = a.run
                where a.run = $1 and a.fact = 'wait_ended' and a.discriminator = s.task || '/' || s.index
                    || case when r.retries > 0 then '~' || r.retries else '' end)
        limit 1",
    )
    .bind(&step.run)
    .bind(collect(&touched, |(task, _)| Ok(*task))?)
    .bind(collect(&touched, |(_, index)| row::integer(*index))?)
    .fetch_optional(connection)
    .await?;
    overtaken.map_or(Ok(()), |_| Err(StoreError::Overtaken(step.run.clone())))
}

/// Writes whom a step asks. The tasks are written already.
pub(crate) async fn write(connection: &mut PgConnection, step: &StepRecord) -> Result<(), sqlx::Error> {
    if !step.asked.is_empty() {
        ask(connection, step).await?;
    }
    for escalated in &step.escalated {
        escalate(connection, &step.run, escalated).await?;
    }
    Ok(())
}

async fn ask(connection: &mut PgConnection, step: &StepRecord) -> Result<(), sqlx::Error> {
    let asked = &step.asked;
    sqlx::query(
        "insert into human_task (run, task, index, asked, assignees, deadline, due_at)
        select $1, a.task, a.index, who.names, who.names, time.deadline, now() + time.deadline
        from unnest($2::text[], $3::int[], $4::text[], $5::float8[]) as a (task, index, assignees, seconds),
            lateral (select array(select json_array_elements_text(a.assignees::json)) as names) as who,
            lateral (select make_interval(secs => a.seconds) as deadline) as time
        on conflict do nothing",
    )
    .bind(&step.run)
    .bind(collect(asked, |one| Ok(one.task.as_str()))?)
    .bind(collect(asked, |one| row::integer(one.index))?)
    .bind(collect(asked, |one| row::text(&storable(&one.assignees)))?)
    .bind(collect(asked, |one| Ok(one.deadline.map(|deadline| deadline.as_secs_f64())))?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn escalate(connection: &mut PgConnection, run: &str, to: &Escalated) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update human_task set assignees = $4, claimed_by = null, claimed_at = null, escalated_at = now(),
            due_at = now() + make_interval(secs => $5)
        where run = $1 and task = $2 and index = $3 and escalated_at is null",
    )
    .bind(run)
    .bind(&to.task)
    .bind(row::integer(to.index)?)
    .bind(storable(&to.assignees))
    .bind(to.deadline.as_secs_f64())
    .execute(connection)
    .await?;
    Ok(())
}

/// PostgreSQL's text has no NUL, and a name must not keep the step from being written.
fn storable(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.replace('\0', "\u{fffd}")).collect()
}
