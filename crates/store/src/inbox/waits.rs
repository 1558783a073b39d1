//! Tasks that wait for an event: which are open, which event ends them, and that neither misses the other.
//!
//! A step that opens waits looks for events that are there; a batch that brings events looks for waits that are
//! open. Each sees only what is committed, so between the two a wait could stay open beside the event that ends it.
//! Both therefore take the locks of the specs that they are about before they write, the step shared, the batch
//! alone, and keep them until they are committed: whichever comes second sees what the first one wrote. A spec's
//! lock is one of 256, so that a batch with many specs does not fill the server's table of locks.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use spine_core::event::Event;
use spine_core::expression::MAX_RESULT_BYTES;
use spine_core::inbox::{ForWait, Item};
use spine_core::names;
use spine_core::notice::{EndedBy, RunFacts};
use spine_core::run::Failure;

use super::{Rings, sequence};
use crate::ending::{self, Told};
use crate::step::{AuditEntry, StepRecord, collect};
use crate::{StoreError, row, wake};

/// What the advisory locks of specs are called, beside their number.
const LOCKS: i32 = 0x7370_6e01;

/// A task instance that waits for an event, and that has not been started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWait {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// The hash of the spec that the event must meet.
    pub spec: String,
    /// What the spec's key must be, as [`spine_core::inbox::stored_key`] gives it.
    pub key: Option<String>,
}

/// An open wait, and the event that ends it.
struct Found {
    run: String,
    task: String,
    index: u32,
    sequence: i64,
    event: Event,
}

/// Takes the locks of what a step waits for. Call it before the run's row is locked.
pub(crate) async fn lock_for_step(connection: &mut PgConnection, step: &StepRecord) -> Result<(), sqlx::Error> {
    let specs = step.waits.iter().map(|wait| wait.spec.as_str());
    lock(connection, "select pg_advisory_xact_lock_shared($1, n) from unnest($2::int[]) as n", specs).await
}

async fn lock(
    connection: &mut PgConnection,
    statement: &'static str,
    specs: impl Iterator<Item = &str>,
) -> Result<(), sqlx::Error> {
    // In one order, so that two who take several never wait for each other.
    let numbers: BTreeSet<i32> = specs.map(number).collect();
    if numbers.is_empty() {
        return Ok(());
    }
    sqlx::query(statement).bind(LOCKS).bind(numbers.into_iter().collect::<Vec<_>>()).execute(connection).await?;
    Ok(())
}

/// The last two hex digits of a spec's hash.
fn number(spec: &str) -> i32 {
    let digits = spec.get(spec.len().saturating_sub(2)..).unwrap_or_default();
    i32::from_str_radix(digits, 16).unwrap_or_default()
}

/// Opens the waits of a step whose tasks are open, and ends those whose event is there already; says whether there
/// were any. A wait that is open stays as it is.
pub(crate) async fn open(connection: &mut PgConnection, step: &StepRecord) -> Result<bool, StoreError> {
    if step.waits.is_empty() {
        return Ok(false);
    }
    let waits = &step.waits;
    sqlx::query(
        "insert into event_wait (run, task, index, spec, key, after_sequence, after_time)
        select r.id, w.task, w.index, w.spec, w.key, coalesce(e.sequence, r.stream_sequence),
            case when r.stream_sequence is null then r.started_at end
        from unnest($2::text[], $3::int[], $4::text[], $5::text[]) as w (task, index, spec, key)
        join run r on r.id = $1 join task t on t.run = $1 and t.task = w.task and t.index = w.index
        -- In an instance, the event that decided the task is the one to begin from.
        left join instance_event e on e.run = $1 and e.ordinal = t.ordinal
        where t.status = 'created'
        on conflict do nothing",
    )
    .bind(&step.run)
    .bind(collect(waits, |one| Ok(one.task.as_str()))?)
    .bind(collect(waits, |one| row::integer(one.index))?)
    .bind(collect(waits, |one| Ok(one.spec.as_str()))?)
    .bind(collect(waits, |one| Ok(one.key.as_deref().unwrap_or_default()))?)
    .execute(&mut *connection)
    .await?;
    let found = sqlx::query(
        "select w.run, w.task, w.index, e.sequence, e.event
        from event_wait w cross join lateral (
            select sequence, event from inbox_event e
            where e.spec = w.spec and e.key = w.key and (e.sequence > w.after_sequence or e.received_at > w.after_time)
            order by sequence limit 1
        ) as e
        where w.run = $1 order by w.task, w.index",
    )
    .bind(&step.run)
    .try_map(Found::read)
    .fetch_all(&mut *connection)
    .await?;
    for found in &found {
        end(connection, found).await?;
    }
    Ok(!found.is_empty())
}

/// Keeps the events of a batch that meet a spec, and ends the waits that are open for them: each by the first.
pub(super) async fn deliver(connection: &mut PgConnection, items: &[Item]) -> Result<Rings, StoreError> {
    let specs = items.iter().flat_map(|item| &item.waits).map(|wait| wait.spec.as_str());
    lock(connection, "select pg_advisory_xact_lock($1, n) from unnest($2::int[]) as n", specs).await?;
    let kept = keep(connection, items).await?;
    let mut rings = Rings::default();
    for found in awaiting(connection, &kept).await? {
        if end(connection, &found).await? {
            wake::insert(connection, &found.run).await?;
            rings = Rings { wake: true, outbox: true };
        }
    }
    Ok(rings)
}

/// An event that was kept: spec, key and sequence.
type Kept = (String, String, i64);

/// Keeps each event under each spec that it meets, unless it stands there from an earlier message.
async fn keep(connection: &mut PgConnection, items: &[Item]) -> Result<Vec<Kept>, sqlx::Error> {
    let items: Vec<&Item> = items.iter().filter(|item| !item.waits.is_empty()).collect();
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let waits: Vec<(i64, &ForWait)> =
        (1..).zip(&items).flat_map(|(n, item)| item.waits.iter().map(move |wait| (n, wait))).collect();
    sqlx::query_as(
        "insert into inbox_event (spec, key, sequence, event_key, received_at, event)
        select w.spec, w.key, i.sequence, i.event_key, i.received_at, i.event::json
        from unnest($1::bigint[], $2::text[], $3::text[]) as w (n, spec, key)
        join unnest($4::bigint[], $5::text[], $6::timestamptz[], $7::text[])
            with ordinality as i (sequence, event_key, received_at, event, n) on i.n = w.n
        order by i.n
        on conflict do nothing returning spec, key, sequence",
    )
    .bind(collect(&waits, |(n, _)| Ok(*n))?)
    .bind(collect(&waits, |(_, wait)| Ok(wait.spec.as_str()))?)
    .bind(collect(&waits, |(_, wait)| Ok(wait.key.as_deref().unwrap_or_default()))?)
    .bind(collect(&items, |item| sequence(item.sequence))?)
    .bind(collect(&items, |item| Ok(item.event.key().to_string()))?)
    .bind(collect(&items, |item| Ok(item.received_at))?)
    .bind(collect(&items, |item| row::text(&item.event))?)
    .fetch_all(connection)
    .await
}

/// The open waits that these events end, each with the first of them.
async fn awaiting(connection: &mut PgConnection, kept: &[Kept]) -> Result<Vec<Found>, sqlx::Error> {
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(
        "select distinct on (w.run, w.task, w.index) w.run, w.task, w.index, e.sequence, e.event
        from unnest($1::text[], $2::text[], $3::bigint[]) as k (spec, key, sequence)
        join inbox_event e on e.spec = k.spec and e.key = k.key and e.sequence = k.sequence
        join event_wait w on w.spec = k.spec and w.key = k.key
        where e.sequence > w.after_sequence or e.received_at > w.after_time
        order by w.run, w.task, w.index, e.sequence",
    )
    .bind(collect(kept, |(spec, ..)| Ok(spec.as_str()))?)
    .bind(collect(kept, |(_, key, _)| Ok(key.as_str()))?)
    .bind(collect(kept, |(.., sequence)| Ok(*sequence))?)
    .try_map(Found::read)
    .fetch_all(connection)
    .await
}

impl Found {
    fn read(found: PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            run: found.try_get("run")?,
            task: found.try_get("task")?,
            index: row::number(&found, "index")?,
            sequence: found.try_get("sequence")?,
            event: found.try_get::<Json<Event>, _>("event")?.0,
        })
    }
}

/// Ends a wait with its event, under the run's lock; false if somebody else has ended it.
async fn end(connection: &mut PgConnection, found: &Found) -> Result<bool, StoreError> {
    let Found { run, task, index, .. } = found;
    let (activity, revision, hops, retries): (String, i32, i64, i32) =
        sqlx::query_as("select activity, revision, hops, retries from run where id = $1 for update")
            .bind(run)
            .fetch_one(&mut *connection)
            .await?;
    let output = found.event.to_json();
    let failure = too_large(&output);
    let result = failure.as_ref().map_or(Ok(&output), Err);
    if !ending::close(connection, run, task, *index, result).await? {
        return Ok(false);
    }
    let now = OffsetDateTime::now_utc().format(&Rfc3339).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let facts = RunFacts {
        run,
        activity: &activity,
        revision: revision.unsigned_abs(),
        hops: hops.unsigned_abs(),
        retry: retries.unsigned_abs(),
        now: &now,
    };
    let by = EndedBy { event: &found.event, sequence: found.sequence.unsigned_abs() };
    let told = Told {
        audit: audit(&facts, task, *index, &by, failure.as_ref()),
        event: facts.wait_ended_by(task, *index, &by, failure.as_ref()),
    };
    ending::tell(connection, run, told).await?;
    Ok(true)
}

fn audit(facts: &RunFacts<'_>, task: &str, index: u32, by: &EndedBy<'_>, failure: Option<&Failure>) -> AuditEntry {
    let mut detail = json!({"task": task, "index": index, "event": by.to_json()});
    if let Some(failure) = failure {
        detail["error"] = json!(failure);
    }
    AuditEntry {
        fact: "wait_ended".into(),
        discriminator: format!("{task}/{index}{}", names::retry_suffix(facts.retry)),
        detail,
    }
}

/// Why an event can't be the output of a task, if it can't.
fn too_large(output: &Value) -> Option<Failure> {
    let bytes = output.to_string().len();
    let message = || {
        format!("the event that ended the wait has {bytes} bytes as JSON; at most {MAX_RESULT_BYTES} can be an output")
    };
    (bytes > MAX_RESULT_BYTES).then(|| Failure::new("OutputTooLarge", message()))
}
