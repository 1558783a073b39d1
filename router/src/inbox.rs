//! EVENTS to the inbox: reads the stream in its order and hands over, batch by batch, what instances of stateful
//! activities and tasks that wait are to get.
//!
//! The position in the stream is kept where the batches go, and moves in the transaction that writes a batch. So
//! for each key the order is the stream's, and each event is written once, whatever number of routers, redeliveries
//! and crashes there are. One process at a time reads, so that others do not read in vain; nothing depends on it.
//!
//! Invariants: an event that the router would not let in is given to nobody; a batch is read by one state of the
//! catalog and one of the specs; an event that makes reading panic is passed over, and never read again.

mod ports;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use serde_json::Value;
use spine_nats::tail::{self, Tail};
use spine_runtime::backoff::Backoff;
use spine_runtime::health::{Component, Health};
use spine_runtime::metrics::Metrics;
use spine_runtime::metrics::labels::Delivery;
use spine_runtime::shutdown::Shutdown;
use tokio::time::Instant;

pub use ports::{Inbox, InboxError, KnownSpecs, Outcome, Turn};

use crate::catalog::{self, Current, Gauges};

/// How often a process that stands by tries to take over.
const STANDBY: Duration = Duration::from_secs(1);
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The most messages of a batch, and about the most bytes of their payloads: what a transaction writes in some ten
/// milliseconds, and what a process may hold in memory.
const BATCH: (usize, usize) = (500, 8 * 1024 * 1024);
/// How soon it is looked again whether the catalog has come that a batch is to be read by.
const CATALOG_POLL: Duration = Duration::from_millis(10);
/// How often it is measured how far behind the stream the position is.
const MEASURE: Duration = Duration::from_secs(1);
/// How often what the stream has forgotten is forgotten here as well.
const TIDY: Duration = Duration::from_secs(600);

/// What the reader works with.
pub struct Resources {
    /// The stream and the catalog.
    pub jetstream: jetstream::Context,
    /// Where batches go.
    pub inbox: Arc<dyn Inbox>,
    /// What expressions see as `config`.
    pub values: BTreeMap<String, Value>,
    /// Counters and gauges.
    pub metrics: Metrics,
    /// Says whether events get through.
    pub health: Health,
}

/// Why a batch did not get through. It is read again.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("read the events")]
    Tail(#[from] tail::TailError),
    #[error("write the inbox")]
    Inbox(#[from] InboxError),
    #[error("go on at {0}, where another process has read on")]
    Overtaken(u64),
    #[error("rule by a catalog; there is none")]
    NoCatalog,
}

struct Reader {
    jetstream: jetstream::Context,
    inbox: Arc<dyn Inbox>,
    catalog: Arc<Current>,
    config: Value,
    metrics: Metrics,
    component: Component,
    shutdown: Shutdown,
}

/// Reads until `shutdown` is requested. What fails is tried again, and said in the health meanwhile.
pub async fn run(resources: Resources, shutdown: Shutdown) {
    let component = resources.health.register("inbox");
    let metrics = &resources.metrics.inbox;
    let gauges = Gauges {
        version: metrics.catalog_version.clone(),
        activities: None,
        failures: metrics.catalog_failures.clone(),
    };
    let catalog = Arc::new(Current::new(resources.jetstream.clone(), gauges));
    let follower = catalog::follow(catalog.clone(), resources.health.register("inbox catalog"));
    let follower = tokio::spawn(follower);
    let reader = Reader {
        jetstream: resources.jetstream,
        inbox: resources.inbox,
        catalog,
        config: Value::Object(resources.values.into_iter().collect()),
        metrics: resources.metrics,
        component,
        shutdown,
    };
    reader.take_turns().await;
    reader.component.down("it has stopped");
    crate::end("the catalog's follower", follower).await;
}

impl Reader {
    async fn take_turns(&self) {
        let mut pauses = pauses();
        while !self.shutdown.is_requested() {
            let pause = match self.inbox.take_turn().await {
                Ok(Some(turn)) => {
                    tracing::info!("this process reads events into the inbox");
                    self.hold(turn).await;
                    pauses = self::pauses();
                    continue;
                }
                Ok(None) => {
                    self.component.up();
                    STANDBY
                }
                Err(error) => {
                    self.component.failing("take the turn to read events into the inbox", &error);
                    pauses.next().unwrap_or(STANDBY)
                }
            };
            self.wait(pause).await;
        }
    }

    /// Reads until the turn is lost or the end is wished for.
    async fn hold(&self, mut turn: Box<dyn Turn>) {
        tokio::select! {
            biased;
            () = turn.lost() => {
                tracing::warn!("lost the turn to read events into the inbox; another process may have it");
                return;
            }
            () = self.read_on() => {}
        }
        turn.release().await;
    }

    async fn read_on(&self) {
        if !self.catalog.first(&self.shutdown).await {
            return;
        }
        let mut pauses = pauses();
        while !self.shutdown.is_requested() {
            let mut went_well = false;
            if let Err(error) = self.session(&mut went_well).await {
                self.component.failing("read events into the inbox", &error);
                if went_well {
                    pauses = self::pauses();
                }
                self.wait(pauses.next().unwrap_or(PAUSES.1)).await;
            }
        }
    }

    /// Opens the stream at the position and reads until something fails or the end is wished for.
    async fn session(&self, went_well: &mut bool) -> Result<(), ReadError> {
        let position = self.inbox.position().await?;
        let extent = tail::extent(&self.jetstream).await?;
        let start = begin(position, extent);
        let mut place = Place { position, specs: self.inbox.specs().await? };
        let mut messages = Tail::open(&self.jetstream, start).await?;
        let (mut measure, mut tidy) = (Instant::now(), Instant::now());
        self.component.up();
        loop {
            if measure <= Instant::now() {
                measure = Instant::now() + MEASURE;
                let last = tail::extent(&self.jetstream).await?.last;
                self.metrics.inbox.lag.set(i64::try_from(last.saturating_sub(place.position)).unwrap_or(i64::MAX));
            }
            if tidy <= Instant::now() && !extent.max_age.is_zero() {
                tidy = Instant::now() + TIDY;
                self.inbox.forget(extent.max_age).await?;
            }
            let read = tokio::select! {
                read = messages.read(BATCH.0, BATCH.1) => read?,
                () = tokio::time::sleep_until(measure) => continue,
                () = self.shutdown.requested() => return Ok(()),
            };
            self.write(&mut place, &read).await?;
            *went_well = true;
            self.component.up();
        }
    }

    /// Hands over what has been read. Where the registry has changed since the specs were loaded, they are loaded
    /// again and the batch is matched again: a run of the new revision may wait for what is in it.
    async fn write(&self, place: &mut Place, read: &[tail::Message]) -> Result<(), ReadError> {
        let Some(last) = read.last() else { return Ok(()) };
        loop {
            let batch = {
                let snapshot = self.catalog.current().ok_or(ReadError::NoCatalog)?;
                reading::batch(place.position, read, &snapshot, &place.specs, &self.config)
            };
            match self.inbox.deliver(&batch).await? {
                Outcome::Written => {
                    place.position = last.sequence;
                    let count = |sizes: usize| u64::try_from(sizes).unwrap_or(u64::MAX);
                    let instances = batch.items.iter().map(|item| item.instances.len()).sum();
                    let waits = batch.items.iter().map(|item| item.waits.len()).sum();
                    self.metrics.inbox.delivered.add(Delivery::Instance, count(instances));
                    self.metrics.inbox.delivered.add(Delivery::Wait, count(waits));
                    return Ok(());
                }
                Outcome::Outdated => {
                    place.specs = self.inbox.specs().await?;
                    if batch.catalog_version < place.specs.registry_version {
                        // The relay is about to project it.
                        self.wait(CATALOG_POLL).await;
                    }
                    if self.shutdown.is_requested() {
                        return Ok(());
                    }
                }
                Outcome::Overtaken => return Err(ReadError::Overtaken(self.inbox.position().await?)),
            }
        }
    }

    async fn wait(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.shutdown.requested() => {}
        }
    }
}

/// How far one process has come.
struct Place {
    position: u64,
    specs: KnownSpecs,
}

/// After which message to go on. What is gone can't be read any more, and in a stream that was made anew the
/// position means nothing.
fn begin(position: u64, extent: tail::Extent) -> u64 {
    if position > extent.last {
        tracing::error!(
            position,
            last = extent.last,
            "the stream is not the one that was read; reading it from its start"
        );
        return 0;
    }
    if extent.first > position + 1 {
        let missed = extent.first - position - 1;
        tracing::error!(
            position,
            first = extent.first,
            missed,
            "events are gone that were not read; going on with the first there is"
        );
    }
    position
}

fn pauses() -> Backoff {
    Backoff::new(PAUSES.0, PAUSES.1, 2)
}
