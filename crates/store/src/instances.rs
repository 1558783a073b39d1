//! Instances of stateful activities: the events that they were given, and how far they have folded them.
//!
//! Invariant: whoever gives an instance an event, folds one or ends it holds its run's row lock. So an event is
//! folded once, in the order in which it was given, and none is given to an instance that has ended.

mod arrival;
mod end;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row as _};
use time::OffsetDateTime;

use spine_core::event::Event;

use crate::step::collect;
use crate::{Store, StoreError, TaskRow, row};

pub(crate) use arrival::{deliver, refuse};
pub(crate) use end::{end, take_back};

/// One instance.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceRow {
    /// The id of its run.
    pub run: String,
    /// The key that its events share.
    pub key: String,
    /// The state after the last event that was folded; `None` before the first.
    pub state: Option<Value>,
    /// How many events it was given.
    pub received: u32,
    /// How many of them were folded.
    pub folded: u32,
    /// The key of the event that cancelled it.
    pub cancelled_by: Option<String>,
    /// How long it may still go on by the database's clock, if that is bounded.
    pub left: Option<Duration>,
}

impl FromRow<'_, PgRow> for InstanceRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let left: Option<f64> = row.try_get("seconds_left")?;
        Ok(Self {
            run: row.try_get("run")?,
            key: row.try_get("key")?,
            state: row::optional_json(row, "state")?,
            received: row::number(row, "received")?,
            folded: row::number(row, "folded")?,
            cancelled_by: row.try_get("cancelled_by")?,
            // One that is over has none left.
            left: left.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        })
    }
}

/// An event that an instance was given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceEvent {
    /// Its place among the events of the instance, from 0.
    pub ordinal: u32,
    /// Its place in the EVENTS stream.
    pub sequence: i64,
    /// The event.
    pub event: Event,
    /// Whether it cancels the instance.
    pub cancels: bool,
    /// The state after it, once it was folded.
    pub state: Option<Value>,
    /// When it was given to the instance.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// When it was folded.
    #[serde(with = "time::serde::rfc3339::option")]
    pub folded_at: Option<OffsetDateTime>,
}

impl FromRow<'_, PgRow> for InstanceEvent {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            ordinal: row::number(row, "ordinal")?,
            sequence: row.try_get("sequence")?,
            event: row::json(row, "event")?,
            cancels: row.try_get("cancels")?,
            state: row::optional_json(row, "state")?,
            at: row.try_get("at")?,
            folded_at: row.try_get("folded_at")?,
        })
    }
}

/// What became of an event in one stateful activity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GivenTo {
    /// The activity.
    pub activity: String,
    /// The key of the instance, if it has a usable one.
    pub key: Option<String>,
    /// The run of the instance that it was given to.
    pub run: Option<String>,
    /// Its place among the events of the instance, from 0.
    pub ordinal: Option<u32>,
    /// Whether it was folded.
    pub folded: bool,
    /// Why no instance folded it.
    pub reason: Option<String>,
}

impl FromRow<'_, PgRow> for GivenTo {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            activity: row.try_get("activity")?,
            key: row.try_get("key")?,
            run: row.try_get("run")?,
            ordinal: row::optional_number(row, "ordinal")?,
            folded: row.try_get::<Option<OffsetDateTime>, _>("folded_at")?.is_some(),
            reason: row.try_get("reason")?,
        })
    }
}

/// Events that a step folds.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// How many had been folded before.
    pub before: u32,
    /// The state after each, in order, and after them all.
    pub states: Vec<Value>,
    /// The key of the last, if it cancels the instance.
    pub cancelled_by: Option<String>,
}

impl Store {
    /// The instance of this run. Its time begins, if it may go on for `at_most` this long.
    pub async fn instance(&self, run: &str, at_most: Option<Duration>) -> Result<InstanceRow, StoreError> {
        let found: Option<InstanceRow> = sqlx::query_as(
            "with bounded as (
                update instance i set expires_at =
                    (case when r.retries = 0 then r.started_at else now() end) + make_interval(secs => $2)
                from run r where i.run = $1 and r.id = i.run and i.expires_at is null and $2 is not null
                returning i.expires_at
            )
            select i.*, extract(epoch from coalesce(i.expires_at, (select expires_at from bounded)) - clock_timestamp())::float8
                as seconds_left
            from instance i where i.run = $1",
        )
        .bind(run)
        .bind(at_most.map(|at_most| at_most.as_secs_f64()))
        .fetch_optional(&self.pool)
        .await?;
        found.ok_or_else(|| StoreError::UnknownRun(run.to_owned()))
    }

    /// At most `limit` events of an instance that are to be folded next, in order.
    pub async fn events_to_fold(&self, run: &str, limit: u32) -> Result<Vec<InstanceEvent>, StoreError> {
        let events = sqlx::query_as(
            "select * from instance_event where run = $1 and folded_at is null order by ordinal limit $2",
        )
        .bind(run)
        .bind(row::integer(limit)?)
        .fetch_all(&self.pool)
        .await?;
        Ok(events)
    }

    /// The last `limit` events that an instance was given, in order; none of a run that is no instance.
    pub async fn events_of_instance(&self, run: &str, limit: u32) -> Result<Vec<InstanceEvent>, StoreError> {
        let events = sqlx::query_as(
            "select * from (
                select * from instance_event where run = $1 and ordinal is not null order by ordinal desc limit $2
            ) last order by ordinal",
        )
        .bind(run)
        .bind(row::integer(limit)?)
        .fetch_all(&self.pool)
        .await?;
        Ok(events)
    }

    /// What became of an event in each stateful activity that it was for: the run of the instance that it was given
    /// to, or why it was given to none.
    pub async fn instances_of_event(&self, event_key: &str) -> Result<Vec<GivenTo>, StoreError> {
        let given = sqlx::query_as("select * from instance_event where event_key = $1 order by activity")
            .bind(event_key)
            .fetch_all(&self.pool)
            .await?;
        Ok(given)
    }

    /// The folded events of an instance for which something is still to be done, in order.
    pub async fn unsettled_events(&self, run: &str) -> Result<Vec<InstanceEvent>, StoreError> {
        let events = sqlx::query_as(
            "select * from instance_event
            where run = $1 and folded_at is not null and not settled order by ordinal",
        )
        .bind(run)
        .fetch_all(&self.pool)
        .await?;
        Ok(events)
    }

    /// The folded events of an instance that decided a task, those of `ordinals`, in order.
    pub async fn folded_events(&self, run: &str, ordinals: &[u32]) -> Result<Vec<InstanceEvent>, StoreError> {
        let events = sqlx::query_as(
            "select * from instance_event where run = $1 and ordinal = any($2) and folded_at is not null order by ordinal",
        )
        .bind(run)
        .bind(collect(ordinals, |ordinal| row::integer(*ordinal))?)
        .fetch_all(&self.pool)
        .await?;
        Ok(events)
    }

    /// The tasks of an instance, as [`Store::tasks_of`]; of those `each_event` that run for each event, only what
    /// runs for one of `ordinals`.
    pub async fn tasks_of_instance(
        &self,
        run: &str,
        each_event: &[&str],
        ordinals: &[u32],
    ) -> Result<Vec<TaskRow>, StoreError> {
        let rows = sqlx::query_as(
            r#"select * from task where run = $1 and (task <> all($2::text[]) or ordinal = any($3))
            order by created_at, task collate "C", index"#,
        )
        .bind(run)
        .bind(each_event)
        .bind(collect(ordinals, |ordinal| row::integer(*ordinal))?)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Gives the run of an instance back, for the next execution that claims it.
    pub async fn release_run(&self, id: &str, execution: &str) -> Result<(), StoreError> {
        sqlx::query(
            "with released as (
                update run set temporal_run_id = null
                where id = $1 and temporal_run_id = $2 and status = 'running' returning id
            )
            update instance set held = false from released where run = released.id",
        )
        .bind(id)
        .bind(execution)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes the run of an instance from an execution that Temporal does not have any more: somebody terminated it.
    /// False if the run has ended.
    pub async fn reclaim_instance(&self, id: &str) -> Result<bool, StoreError> {
        let reclaimed = sqlx::query(
            "with reclaimed as (
                update run set temporal_run_id = null where id = $1 and status = 'running' returning id
            )
            update instance set held = false from reclaimed where run = reclaimed.id",
        )
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(reclaimed.rows_affected() > 0)
    }

    /// Has an instance not woken for events until its run is released.
    pub async fn hold_instance(&self, run: &str) -> Result<(), StoreError> {
        sqlx::query("update instance set held = true where run = $1 and not held")
            .bind(run)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// Writes what a step folds, and which events it settles. The caller holds the run's lock.
pub(crate) async fn write(
    connection: &mut PgConnection,
    run: &str,
    fold: Option<&Fold>,
    settled: &[u32],
) -> Result<(), StoreError> {
    if let Some(fold) = fold {
        write_fold(connection, run, fold).await?;
    }
    if !settled.is_empty() {
        sqlx::query("update instance_event set settled = true where run = $1 and ordinal = any($2)")
            .bind(run)
            .bind(collect(settled, |ordinal| row::integer(*ordinal))?)
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn write_fold(connection: &mut PgConnection, run: &str, fold: &Fold) -> Result<(), StoreError> {
    let Some(last) = fold.states.last() else { return Ok(()) };
    let count = u32::try_from(fold.states.len()).unwrap_or(u32::MAX);
    let moved = sqlx::query(
        "update instance set state = $4::json, folded = folded + $3, cancelled_by = coalesce($5, cancelled_by)
        where run = $1 and folded = $2",
    )
    .bind(run)
    .bind(row::integer(fold.before)?)
    .bind(row::integer(count)?)
    .bind(row::text(last)?)
    .bind(&fold.cancelled_by)
    .execute(&mut *connection)
    .await?;
    if moved.rows_affected() == 0 {
        return Err(StoreError::Overtaken(run.to_owned()));
    }
    let folded = sqlx::query(
        "update instance_event e set state = f.state::json, folded_at = now()
        from unnest($2::text[]) with ordinality as f (state, n)
        where e.run = $1 and e.ordinal = $3 + f.n - 1 and e.folded_at is null",
    )
    .bind(run)
    .bind(collect(&fold.states, row::text)?)
    .bind(row::integer(fold.before)?)
    .execute(connection)
    .await?;
    match folded.rows_affected() == u64::from(count) {
        true => Ok(()),
        false => Err(StoreError::Overtaken(run.to_owned())),
    }
}
