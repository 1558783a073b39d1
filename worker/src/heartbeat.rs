//! Tells Temporal that an attempt goes on, so that one whose worker has died is soon made again.
//!
//! To be cancelled does not interrupt an attempt: how far it came would not be known, and an undo counts on that.

use std::pin::pin;
use std::time::Duration;

use temporalio_sdk::activities::ActivityContext;
use tokio::time::{Instant, interval_at};

/// How long a worker may be silent about an attempt until that is given up and another is made: what a busy or
/// briefly disconnected worker stays well below, and what an operator who lost a machine does not mind.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);
/// How often it speaks: two words may get lost. Attempts that end sooner never do.
pub(crate) const BEAT: Duration = Duration::from_secs(3);

/// Does `work`, with heartbeats beside it.
pub(crate) async fn beside<T>(ctx: &ActivityContext, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut beats = interval_at(Instant::now() + BEAT, BEAT);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = beats.tick() => {
                if let Err(error) = ctx.record_heartbeat(()).await {
                    tracing::warn!(%error, "could not tell Temporal that a task goes on");
                }
            }
        }
    }
}
