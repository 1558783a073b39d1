//! How long to wait between tries.

use std::time::Duration;

/// Waits that grow by a factor up to a bound; the iterator never ends, the caller bounds the tries.
///
/// There is no jitter, so that a test can say each wait; whoever needs it adds it.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
    factor: u32,
}

impl Backoff {
    /// Waits of `initial`, `initial * factor`, … and at most `max`.
    pub fn new(initial: Duration, max: Duration, factor: u32) -> Self {
        Self { next: initial.min(max), max, factor }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next;
        self.next = wait.saturating_mul(self.factor).min(self.max);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_stay_there() {
        let check = |initial, max, factor, expected: &[u64]| {
            let waits = Backoff::new(Duration::from_millis(initial), Duration::from_millis(max), factor);
            let waits: Vec<u64> = waits.take(expected.len()).map(|w| w.as_millis() as u64).collect();
            assert_eq!(waits, expected);
        };
        check(100, 1000, 2, &[100, 200, 400, 800, 1000, 1000]);
        check(500, 100, 2, &[100, 100]);
        check(u64::MAX, u64::MAX, u32::MAX, &[u64::MAX, u64::MAX]);
    }
}
