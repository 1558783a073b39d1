//! Waits for a server that is away, with the delivery in hand.

use std::time::Duration;

use spine_nats::consume::Delivery;
use spine_runtime::backoff::Backoff;
use spine_runtime::metrics::labels::Dependency;

use crate::Shared;

/// The first and the longest pause between two attempts. The longest is well under the consumer's
/// `ack_wait`, so that the broker hears of the delivery in time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What became of an attempt.
pub(crate) enum Attempt<T> {
    /// It is known how it ended.
    Ended(T),
    /// The server was away, for this reason.
    Away(Dependency, String),
}

/// Tries until it is known how it ended. `None` if the router is told to stop before that; the delivery
/// then goes to another router.
pub(crate) async fn until_ended<T, F: Future<Output = Attempt<T>>>(
    shared: &Shared,
    delivery: &Delivery,
    mut attempt: impl FnMut() -> F,
) -> Option<T> {
    for pause in Backoff::new(PAUSES.0, PAUSES.1, 2) {
        match attempt().await {
            Attempt::Ended(result) => return Some(result),
            Attempt::Away(dependency, reason) => {
                shared.metrics.router.retries.inc(dependency);
                tracing::warn!(
                    sequence = delivery.stream_sequence,
                    ?dependency,
                    reason,
                    "waiting for a server; trying again in {pause:?}"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.shutdown.requested() => return None,
        }
        delivery.progress().await;
    }
    None
}
