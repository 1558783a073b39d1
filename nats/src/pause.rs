//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// The pause after the `attempt`th failure in a row, counted from 0: 0.1 s, doubling up to 2 s.
pub(crate) fn after(attempt: usize) -> Duration {
    let factor = 1_u32.checked_shl(u32::try_from(attempt).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
    FIRST.saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stay_bounded() {
        let millis = [0, 1, 4, 5, 31, 32, usize::MAX].map(|attempt| after(attempt).as_millis());
        assert_eq!(millis, [100, 200, 1600, 2000, 2000, 2000, 2000]);
    }
}
