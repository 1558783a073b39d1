//! Waits for a condition, never for a time.

use std::time::Duration;

use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(20);

/// What `poll` gives once it gives something. Panics with `what` if that takes longer than `at_most`: for tests.
pub async fn until<T>(what: &str, at_most: Duration, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + at_most;
    loop {
        if let Some(value) = poll().await {
            return value;
        }
        assert!(Instant::now() < deadline, "after {at_most:?} still not: {what}");
        tokio::time::sleep(POLL).await;
    }
}
