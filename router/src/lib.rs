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
pub mod inbox;
mod patience;
mod process;
mod ruling;
mod undertaker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use futures::StreamExt as _;
use serde_json::Value;
use spine_nats::consume::{ConsumeError, Deliveries};
use spine_runtime::health::Health;
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::Shutdown;
use temporalio_client::Client;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use catalog::{Current, Gauges};

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
    /// What expressions see as `config`: `instance.key` may read it.
    pub values: BTreeMap<String, Value>,
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
    catalog: Arc<Current>,
    config: Value,
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
    let metrics = &resources.metrics.router;
    let gauges = Gauges {
        version: metrics.catalog_version.clone(),
        activities: Some(metrics.catalog_activities.clone()),
        failures: metrics.catalog_failures.clone(),
    };
    let catalog = Arc::new(Current::new(resources.jetstream.clone(), gauges));
    let follower = tokio::spawn(catalog::follow(catalog.clone(), component.clone()));
    let shared = Arc::new(Shared {
        jetstream: resources.jetstream,
        temporal: resources.temporal,
        metrics: resources.metrics,
        catalog,
        config: Value::Object(resources.values.into_iter().collect()),
        shutdown: shutdown.clone(),
    });
    let undertaker = tokio::spawn(undertaker::work(shared.clone(), resources.health.register("undertaker")));
    let result = consume(&shared, resources.max_in_flight).await;
    component.down("it has stopped");
    end("the undertaker", undertaker).await;
    end("the catalog's follower", follower).await;
    result
}

/// Ends a task that may be ended anywhere.
async fn end(name: &str, task: tokio::task::JoinHandle<()>) {
    task.abort();
    if let Err(error) = task.await
        && error.is_panic()
    {
        tracing::error!("{name} panicked");
    }
}

async fn consume(shared: &Arc<Shared>, max_in_flight: usize) -> Result<(), RouterError> {
    if !shared.catalog.first(&shared.shutdown).await {
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
