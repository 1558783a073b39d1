//! Rows out of the outbox, into JetStream, and the note that they are there.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use spine_core::event::Event;
use spine_nats::publish::{Ack, PublishError, publish};
use spine_nats::wire::Mode;
use spine_runtime::health::Component;
use spine_runtime::metrics::labels::Publication;
use spine_runtime::shutdown::Shutdown;
use spine_store::{OutboxListener, OutboxRow, StoreError};
use tokio::time::Instant;

use crate::wave::waves;
use crate::{RelayError, Resources, pauses};

/// The most rows that are claimed at once: four full waves, and a few megabytes at most events' size.
const CLAIM: u32 = 1000;
/// How long the relay waits for a doorbell before it looks by itself.
const POLL: Duration = Duration::from_millis(100);
/// How often the gauges are brought up to date.
const GAUGES: Duration = Duration::from_secs(1);

/// How often rows are removed that were published long ago.
const TIDY: Duration = Duration::from_secs(3600);
/// How long a published row is kept, for `spine trace`: longer than the EVENTS stream keeps the event, and
/// far longer than a step is tried again, which would write a removed row anew.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// When something is due next.
struct Due {
    gauges: Instant,
    tidy: Instant,
}

/// Why a batch did not go through.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    #[error("use the outbox")]
    Store(#[from] StoreError),
    #[error("publish from the outbox")]
    Publish(#[from] PublishError),
}

/// How publishing one row ended.
enum Fate {
    Published(Ack),
    /// It can never be published.
    Hopeless(String),
    /// It is to be tried again.
    Later(PublishError),
}

/// Publishes what the outbox has until the end is wished for. Fails only if the database never will do.
pub(crate) async fn relay(resources: &Resources, component: &Component, shutdown: &Shutdown) -> Result<(), RelayError> {
    let mut listener = None;
    let mut pauses = pauses();
    let mut due = Due { gauges: Instant::now(), tidy: Instant::now() };
    while !shutdown.is_requested() {
        let worked = step(resources, &mut listener, &mut due, shutdown).await;
        let pause = match worked {
            Ok(()) => {
                component.up();
                pauses = self::pauses();
                continue;
            }
            Err(BatchError::Store(error)) if !error.is_transient() => return Err(error.into()),
            Err(error) => {
                component.failing("relay", &error);
                pauses.next().unwrap_or(POLL)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => {}
        }
    }
    Ok(())
}

/// One look into the outbox: publishes what is there, or waits for more.
async fn step(
    resources: &Resources,
    listener: &mut Option<OutboxListener>,
    due: &mut Due,
    shutdown: &Shutdown,
) -> Result<(), BatchError> {
    let listener = match listener {
        Some(listener) => listener,
        None => listener.insert(resources.store.outbox_listener().await?),
    };
    let now = Instant::now();
    if due.gauges <= now {
        due.gauges = now + GAUGES;
        measure(resources).await?;
    }
    if due.tidy <= now {
        due.tidy = now + TIDY;
        resources.store.delete_published_before(RETENTION).await?;
    }
    let rows = resources.store.claim_batch(CLAIM).await?;
    if rows.is_empty() {
        tokio::select! {
            _ = listener.wait(POLL) => {}
            () = shutdown.requested() => {}
        }
        return Ok(());
    }
    batch(resources, rows, shutdown).await
}

/// Publishes rows wave by wave. After a failure that may pass, what was published is noted and the rest is
/// claimed again, so that no row overtakes an earlier one of its key.
async fn batch(resources: &Resources, rows: Vec<OutboxRow>, shutdown: &Shutdown) -> Result<(), BatchError> {
    let mut parked = BTreeSet::new();
    for wave in waves(rows) {
        if shutdown.is_requested() {
            break;
        }
        let wave = wave.into_iter().filter(|row| !parked.contains(&row.key));
        let fates = join_all(wave.map(|row| attempt(resources, row))).await;
        let mut published = Vec::new();
        let mut failure = None;
        for (row, fate) in fates {
            match fate {
                Fate::Published(ack) => {
                    published.push((row.id, ack.sequence));
                    let label = if ack.duplicate { Publication::Duplicate } else { Publication::Published };
                    resources.metrics.relay.published.inc(label);
                }
                Fate::Hopeless(error) => {
                    park(resources, &row, &error).await?;
                    parked.insert(row.key);
                }
                Fate::Later(error) => failure = Some(error),
            }
        }
        resources.store.mark_published(&published).await?;
        if let Some(error) = failure {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Publishes one row. Its id is deterministic, so a row that was published and not noted is a duplicate.
async fn attempt(resources: &Resources, mut row: OutboxRow) -> (OutboxRow, Fate) {
    let fate = match serde_json::from_value::<Event>(row.event.take()) {
        Err(error) => Fate::Hopeless(error.to_string()),
        Ok(event) => match publish(&resources.jetstream, &event, Mode::Structured).await {
            Ok(ack) => Fate::Published(ack),
            Err(error) if error.is_transient() => Fate::Later(error),
            Err(error) => Fate::Hopeless(error.to_string()),
        },
    };
    (row, fate)
}

async fn park(resources: &Resources, row: &OutboxRow, error: &str) -> Result<(), BatchError> {
    tracing::error!(row = row.id, key = row.key, error, "an event can't be published; it and its key are set aside");
    if resources.store.park(row.id, error).await? {
        resources.metrics.relay.parked.inc();
    }
    Ok(())
}

async fn measure(resources: &Resources) -> Result<(), StoreError> {
    let stats = resources.store.outbox_stats().await?;
    resources.metrics.relay.pending_rows.set(i64::try_from(stats.pending).unwrap_or(i64::MAX));
    resources.metrics.relay.parked_rows.set(i64::try_from(stats.parked).unwrap_or(i64::MAX));
    resources.metrics.relay.oldest_pending_seconds.set(stats.oldest_seconds);
    Ok(())
}
