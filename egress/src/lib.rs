//! The outbox relay: rows that a transaction wrote, published to JetStream in order; and the catalog,
//! projected from the registry for routers.
//!
//! One process at a time does both, the one that holds the relay's lock; others stand by. Invariants: a
//! row counts as published only after JetStream's ack; two events of one key are never under way at once;
//! what can't be published is set aside where it is seen, and holds back its own key only.

mod projection;
mod relay;
mod wave;

use std::time::Duration;

use async_nats::jetstream;
use spine_runtime::health::{Component, Health};
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::Shutdown;
use spine_store::{Duty, DutyLock, Store, StoreError};

/// How often a relay that stands by tries to take over.
const STANDBY: Duration = Duration::from_secs(1);
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What the relay works with.
pub struct Resources {
    /// Where the outbox and the registry are.
    pub store: Store,
    /// Where events and the catalog go.
    pub jetstream: jetstream::Context,
    /// Counters and gauges.
    pub metrics: Metrics,
    /// Says whether the relay is up.
    pub health: Health,
}

/// Why the relay stopped other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The database refuses for good: it is not migrated, or this binary is not made for it.
    #[error("relay the outbox")]
    Store(#[from] StoreError),
}

/// Relays until `shutdown` is requested; then ends the wave in hand.
pub async fn run(resources: Resources, shutdown: Shutdown) -> Result<(), RelayError> {
    let component = resources.health.register("relay");
    let mut pauses = pauses();
    while !shutdown.is_requested() {
        let pause = match resources.store.try_duty(Duty::Relay).await {
            Ok(Some(lock)) => {
                tracing::info!("this relay publishes");
                hold(lock, &resources, &component, &shutdown).await?;
                pauses = self::pauses();
                continue;
            }
            Ok(None) => {
                component.up();
                STANDBY
            }
            Err(error) => {
                component.failing("take the relay's lock", &error);
                pauses.next().unwrap_or(STANDBY)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => {}
        }
    }
    component.down("it has stopped");
    Ok(())
}

/// Works until the lock is lost or the end is wished for.
async fn hold(
    mut lock: DutyLock,
    resources: &Resources,
    component: &Component,
    shutdown: &Shutdown,
) -> Result<(), RelayError> {
    let work = async {
        let relay = relay::relay(resources, component, shutdown);
        let projection = projection::project(resources, shutdown);
        tokio::try_join!(relay, projection).map(drop)
    };
    tokio::select! {
        biased;
        () = lock.lost() => {
            tracing::warn!("lost the relay's lock; another relay may have it");
            return Ok(());
        }
        worked = work => worked?,
    }
    if let Err(error) = lock.release().await {
        tracing::debug!(%error, "the relay's lock ends with its connection");
    }
    Ok(())
}

fn pauses() -> spine_runtime::backoff::Backoff {
    spine_runtime::backoff::Backoff::new(PAUSES.0, PAUSES.1, 2)
}
