//! The outbox: rows written with the work they speak of, published in order by the relay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use spine_core::event::Event;

use crate::bell::{self, Bell, Woken};
use crate::step::collect;
use crate::{Store, StoreError, row};

const CHANNEL: &str = "spine_outbox";
/// At most one ring in this time from one process. What is not rung for, the relay finds while it works
/// on what was, or by its poll.
const RING_INTERVAL: Duration = Duration::from_millis(2);
/// The most rows that one clean-up deletes, so that it holds no lock for long.
const DELETE_BATCH: i64 = 10_000;

/// An event that shall be published.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEvent {
    /// Events with the same key are published in the order in which they were written.
    pub key: String,
    /// The event. Its source and id are deterministic: writing it again writes nothing.
    pub event: Event,
    /// The run that it tells of.
    pub run: Option<String>,
}

/// An event that waits for its publication.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// Its place in the order.
    pub id: i64,
    /// What it must stay in order with.
    pub key: String,
    /// The event in the JSON event format. Not parsed here: one row that does not parse must not hide
    /// the others.
    pub event: Value,
    /// How long it has waited, in seconds by the database's clock.
    pub age_seconds: f64,
}

/// How full the outbox is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutboxStats {
    /// Rows that wait, those behind a parked row included.
    pub pending: u64,
    /// How long the oldest of them has waited, in seconds; 0 if there is none.
    pub oldest_seconds: f64,
    /// Rows that are parked.
    pub parked: u64,
}

impl Store {
    /// The oldest rows that wait, in order, without those whose key stands behind a parked row. It does
    /// not lock them: there is one relay at a time, see [`crate::Duty::Relay`].
    pub async fn claim_batch(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = sqlx::query(
            "select o.id, o.key, o.event, extract(epoch from clock_timestamp() - o.created_at)::float8 as age
            from outbox o
            where o.published_at is null and not exists (
                select from outbox_dead d where d.key = o.key and d.dropped_at is null)
            order by o.id limit $1",
        )
        .bind(i64::from(limit))
        .try_map(|row: PgRow| {
            Ok(OutboxRow {
                id: row.try_get("id")?,
                key: row.try_get("key")?,
                event: row::json(&row, "event")?,
                age_seconds: row.try_get("age")?,
            })
        })
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Notes which rows the stream has acknowledged, each with its sequence in the stream.
    pub async fn mark_published(&self, published: &[(i64, u64)]) -> Result<(), StoreError> {
        let sequence = |value: u64| i64::try_from(value).map_err(|error| sqlx::Error::Encode(error.into()));
        sqlx::query(
            "update outbox o set published_at = now(), stream_sequence = p.sequence
            from unnest($1::bigint[], $2::bigint[]) as p (id, sequence)
            where o.id = p.id and o.published_at is null",
        )
        .bind(collect(published, |(id, _)| Ok(*id))?)
        .bind(collect(published, |(_, value)| sequence(*value))?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Puts a row that can't be published aside, and with it every later row of its key. Returns whether
    /// the row was waiting.
    pub async fn park(&self, id: i64, error: &str) -> Result<bool, StoreError> {
        let parked = sqlx::query(
            "with row as (delete from outbox where id = $1 and published_at is null returning *)
            insert into outbox_dead (id, event_source, event_id, key, lane, event, run, created_at, error)
            select id, event_source, event_id, key, lane, event, run, created_at, $2 from row",
        )
        .bind(id)
        // PostgreSQL's text has no NUL, and a message must not keep the row from being parked.
        .bind(error.replace('\0', "\u{fffd}"))
        .execute(&self.pool)
        .await?;
        Ok(parked.rows_affected() == 1)
    }

    /// How full the outbox is.
    pub async fn outbox_stats(&self) -> Result<OutboxStats, StoreError> {
        let (pending, oldest_seconds, parked): (i64, f64, i64) = sqlx::query_as(
            "select count(*),
                coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8,
                (select count(*) from outbox_dead where dropped_at is null)
            from outbox where published_at is null",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(OutboxStats { pending: pending.unsigned_abs(), oldest_seconds, parked: parked.unsigned_abs() })
    }

    /// Deletes at most 10,000 rows that were published longer ago than `age`, and returns how many it
    /// deleted. `age` must exceed the longest retry of a step, which would write a deleted row anew.
    pub async fn delete_published_before(&self, age: Duration) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "delete from outbox where id in (
                select id from outbox where published_at < now() - make_interval(secs => $1) limit $2)",
        )
        .bind(age.as_secs_f64())
        .bind(DELETE_BATCH)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected())
    }

    /// Starts to listen for new rows. Claim after this call and poll every now and then.
    pub async fn outbox_listener(&self) -> Result<OutboxListener, StoreError> {
        Ok(OutboxListener { bell: Bell::listen(&self.pool, CHANNEL).await? })
    }
}

/// Tells when the outbox may have new rows.
#[derive(Debug)]
pub struct OutboxListener {
    bell: Bell,
}

impl OutboxListener {
    /// Waits for new rows, for `at_most` this long; look into the outbox whatever it says. Safe to cancel.
    pub async fn wait(&mut self, at_most: Duration) -> Woken {
        self.bell.wait(at_most).await
    }
}

/// Writes events in their order and returns how many are new. The caller holds the run's lock.
pub(crate) async fn insert_events(connection: &mut PgConnection, events: &[OutboxEvent]) -> Result<u64, sqlx::Error> {
    if events.is_empty() {
        return Ok(0);
    }
    let inserted = sqlx::query(
        "insert into outbox (event_source, event_id, key, event, run)
        select e.source, e.id, e.key, e.event::json, e.run
        from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
            with ordinality as e (source, id, key, event, run, n)
        where not exists (select from outbox_dead d where d.event_source = e.source and d.event_id = e.id)
        order by e.n
        on conflict do nothing",
    )
    .bind(collect(events, |one| Ok(one.event.source.as_str()))?)
    .bind(collect(events, |one| Ok(one.event.id.as_str()))?)
    .bind(collect(events, |one| Ok(one.key.as_str()))?)
    .bind(collect(events, |one| row::text(&one.event))?)
    .bind(collect(events, |one| Ok(one.run.as_deref()))?)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

/// Wakes the relay after a commit, at most once per [`RING_INTERVAL`].
#[derive(Debug)]
pub(crate) struct Doorbell {
    since: Instant,
    /// When it was last rung, in microseconds after `since`; 0: never.
    last: AtomicU64,
}

impl Default for Doorbell {
    fn default() -> Self {
        Self { since: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl Doorbell {
    /// Rings on a connection that has just committed, unless it has rung a moment ago.
    pub(crate) async fn ring(&self, connection: &mut PgConnection) {
        if !self.due() {
            return;
        }
        bell::ring(connection, CHANNEL).await;
    }

    fn due(&self) -> bool {
        let now = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        let last = self.last.load(Ordering::Relaxed);
        let waited = u128::from(now.saturating_sub(last));
        (last == 0 || waited >= RING_INTERVAL.as_micros())
            && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
