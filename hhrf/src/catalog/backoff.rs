//! Back-off: how long to wait before something that has failed is tried again.

use std::time::Duration;

/// The delay after a first failure; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The delay before the next attempt, after this many have failed.
pub(crate) fn retry_delay(failures: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute() {
        let seconds: Vec<_> = (1..=8).map(|failures| retry_delay(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry_delay(u32::MAX), LONGEST_DELAY);
    }
}
