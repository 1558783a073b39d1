//! What becomes of work under way when the worker is told to end: it has a little time, and is then left to another
//! worker, which does it again under the same names.

use std::time::Duration;

use spine_core::run::Failure;
use spine_runtime::shutdown::Shutdown;

use crate::http::Attempt;

/// How long work that is under way when the worker is told to end may go on: longer than most takes, and well below
/// what a supervisor waits before it kills.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How long it may then take to say so.
const FAREWELL: Duration = Duration::from_secs(3);

/// Requests `over` when [`GRACE`] has passed, and ends when nobody is waited for any more. A step of a run that waits
/// for a database or a lookup that is away is never given up, only left: Temporal gives it to another worker.
pub(crate) async fn announce(over: &Shutdown) {
    tokio::time::sleep(GRACE).await;
    over.request();
    tokio::time::sleep(FAREWELL).await;
}

/// What an attempt gives, or that it was given up because `over` was requested before it had ended: another worker
/// makes the next one at once, instead of when this one's timeout is over.
pub(crate) async fn unless<T>(
    over: &Shutdown,
    attempt: impl Future<Output = Result<T, Attempt>>,
) -> Result<T, Attempt> {
    tokio::select! {
        biased;
        performed = attempt => performed,
        () = over.requested() => {
            let message = format!("its worker was told to end and waited {GRACE:?}; how far it came is not known");
            Err(Attempt { failure: Failure::new("WorkerStopped", message), retryable: true })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(told: bool, takes: Duration, expected: Result<(), &str>) {
        let over = Shutdown::new();
        let attempt = async {
            tokio::time::sleep(takes).await;
            Ok(())
        };
        let announce = async {
            if told {
                announce(&over).await;
            }
            std::future::pending::<()>().await;
        };
        let performed = tokio::select! {
            performed = unless(&over, attempt) => performed,
            () = announce => unreachable!("it is pending for ever"),
        };
        assert_eq!(performed.map_err(|attempt| attempt.failure.kind), expected.map_err(str::to_owned), "{takes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_end_of_the_worker_and_only_after_its_grace_gives_an_attempt_up() {
        let hour = Duration::from_secs(3600);
        check(false, hour, Ok(())).await;
        check(true, GRACE / 2, Ok(())).await;
        check(true, hour, Err("WorkerStopped")).await;
    }
}
