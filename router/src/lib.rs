//! JetStream to Temporal: decides for each event what it starts, and settles the delivery only when that
//! is durable.
//!
//! For each delivery: `ruling` decides with what it has in memory (admission, schema, match), `dispatch`
//! starts the runs, the decision is recorded, and only then is the delivery acknowledged. A server that
//! is away is waited for with the delivery in hand: the delivery count grows by crashes alone, so an
//! event that crashes routers is told from one that met an outage.
//!
//! Invariants: no PostgreSQL; one state of the catalog decides an event; every delivery ends as a decision.

mod catalog;
mod dispatch;
mod patience;
mod process;
mod ruling;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_nats::jetstream;
use futures::StreamExt as _;
use spine_nats::consume::{ConsumeError, Deliveries};
use spine_runtime::health::Health;
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::Shutdown;
use temporalio_client::Client;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use catalog::Snapshot;

/// How long deliveries in hand may take to be settled when the router is told to stop. What is not
/// settled by then is delivered again, to any router.
const DRAIN: Duration = Duration::from_secs(5);

/// What the router works with.
pub struct Resources {
    /// Events in, decisions and dead letters out, the catalog.
    pub jetstream: jetstream::Context,
    /// Where runs are started.
    pub temporal: Client,
    /// Counters.
    pub metrics: Metrics,
    /// Says whether the router is up.
    pub health: Health,
    /// The most deliveries in hand at once.
    pub max_in_flight: usize,
}

/// Why the router stopped other than by being told to.
#[derive(Debug, Error)]
pub enum RouterError {
    /// The consumer could not be had.
    #[error("failed to consume the EVENTS stream")]
    Consume(#[from] ConsumeError),
}

struct Shared {
    jetstream: jetstream::Context,
    temporal: Client,
    metrics: Metrics,
    catalog: ArcSwapOption<Snapshot>,
    shutdown: Shutdown,
}

/// Counts a delivery as in hand for as long as it lives, also through a panic.
struct InHand<'a> {
    shared: &'a Shared,
    _permit: OwnedSemaphorePermit,
}

impl<'a> InHand<'a> {
    fn new(shared: &'a Shared, permit: OwnedSemaphorePermit) -> Self {
        shared.metrics.router.in_flight.inc();
        Self { shared, _permit: permit }
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.shared.metrics.router.in_flight.dec();
    }
}

/// Routes events until `shutdown` is requested; then settles what is in hand, for a few seconds.
pub async fn run(resources: Resources, shutdown: Shutdown) -> Result<(), RouterError> {
    let component = resources.health.register("router");
    let shared = Arc::new(Shared {
        jetstream: resources.jetstream.clone(),
        temporal: resources.temporal,
        metrics: resources.metrics,
        catalog: ArcSwapOption::empty(),
        shutdown: shutdown.clone(),
    });
    let follower = tokio::spawn(catalog::follow(shared.clone(), component.clone()));
    let result = consume(&shared, resources.max_in_flight).await;
    component.down("it has stopped");
    follower.abort();
    if let Err(error) = follower.await
        && error.is_panic()
    {
        tracing::error!("the catalog's follower panicked");
    }
    result
}

async fn consume(shared: &Arc<Shared>, max_in_flight: usize) -> Result<(), RouterError> {
    if !catalog::first(shared).await {
        return Ok(());
    }
    let permits = Arc::new(Semaphore::new(max_in_flight));
    let in_hand = TaskTracker::new();
    let mut deliveries = Deliveries::open(&shared.jetstream, max_in_flight).await?;
    loop {
        let delivery = tokio::select! {
            biased;
            () = shared.shutdown.requested() => break,
            delivery = deliveries.next() => delivery,
        };
        let Some(delivery) = delivery else { break };
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        let shared = shared.clone();
        in_hand.spawn(async move {
            let _in_hand = InHand::new(&shared, permit);
            process::process(&shared, delivery).await;
        });
    }
    drop(deliveries);
    in_hand.close();
    if tokio::time::timeout(DRAIN, in_hand.wait()).await.is_err() {
        tracing::warn!(left = in_hand.len(), "stopped with deliveries in hand; they will be delivered again");
    }
    Ok(())
}
