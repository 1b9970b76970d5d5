//! Crash handling of a pool: exponential backoff before workers restart, and a circuit breaker.
//!
//! Each crash doubles the delay before the next start, up to a maximum; a time without crashes resets it. Too many crashes
//! within a window open the breaker: calls are refused, and no worker starts. After a pause the breaker is half-open and
//! admits one call as a probe. If it is answered the breaker closes; if it crashes, the next pause is twice as long.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use super::plan::HealthOptions;

/// How long the breaker stays open at first, and after which a probe without an outcome times out.
const MIN_OPEN: Duration = Duration::from_secs(1);
/// How long the breaker stays open at most.
const MAX_OPEN: Duration = Duration::from_secs(30);

/// Backoff and circuit breaker of one pool.
#[derive(Debug)]
pub(super) struct Health {
    options: HealthOptions,
    breaker: Breaker,
    /// When workers crashed, within the window.
    crashes: VecDeque<Instant>,
    /// Backoff after the next crash.
    delay: Duration,
    last_crash: Option<Instant>,
    /// No worker starts before this.
    no_start_before: Option<Instant>,
}

/// `Closed` admits calls; too many crashes make it `Open`. `Open` refuses calls until a point in time; the first call
/// after that makes it `HalfOpen`. `HalfOpen` refuses other calls; an answer makes it `Closed`, a crash `Open`. A probe
/// that never completes times out, and the next call is the probe.
#[derive(Clone, Copy, Debug)]
enum Breaker {
    Closed,
    Open { until: Instant, open_for: Duration },
    HalfOpen { since: Instant, open_for: Duration },
}

impl Health {
    pub(super) fn new(options: HealthOptions) -> Self {
        Self {
            delay: options.backoff,
            options,
            breaker: Breaker::Closed,
            crashes: VecDeque::new(),
            last_crash: None,
            no_start_before: None,
        }
    }

    /// Admits a call.
    ///
    /// # Errors
    /// Time until the next call can be admitted.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.breaker {
            Breaker::Closed => Ok(()),
            Breaker::Open { until, .. } if now < until => Err(until - now),
            Breaker::HalfOpen { since, .. } if now < since + MIN_OPEN => Err(since + MIN_OPEN - now),
            Breaker::Open { open_for, .. } | Breaker::HalfOpen { open_for, .. } => {
                self.breaker = Breaker::HalfOpen { since: now, open_for };
                Ok(())
            }
        }
    }

    /// Whether the breaker is open, so that no worker may start.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.breaker, Breaker::Open { .. })
    }

    /// Time until a worker may start.
    pub(super) fn start_delay(&self, now: Instant) -> Duration {
        self.no_start_before.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// A call was answered.
    pub(super) fn answered(&mut self) {
        if matches!(self.breaker, Breaker::HalfOpen { .. }) {
            self.breaker = Breaker::Closed;
            self.crashes.clear();
        }
    }

    /// A worker crashed, or could not start. Returns whether that opened the breaker.
    pub(super) fn crashed(&mut self, now: Instant) -> bool {
        let HealthOptions { backoff, backoff_max, reset, breaker_crashes, breaker_window } = self.options;
        if self.last_crash.is_none_or(|last| now.duration_since(last) >= reset) {
            self.delay = backoff;
        }
        self.last_crash = Some(now);
        self.no_start_before = Some(now + self.delay.mul_f64(jitter()));
        self.delay = (self.delay * 2).min(backoff_max);
        self.crashes.push_back(now);
        while self.crashes.front().is_some_and(|first| now.duration_since(*first) > breaker_window) {
            self.crashes.pop_front();
        }
        let open_for = match self.breaker {
            Breaker::Closed if self.crashes.len() >= breaker_crashes => MIN_OPEN,
            Breaker::HalfOpen { open_for, .. } => (open_for * 2).min(MAX_OPEN),
            _ => return false,
        };
        // Not needed while the breaker is open, which bounds their number.
        self.crashes.clear();
        self.breaker = Breaker::Open { until: now + open_for, open_for };
        true
    }
}

/// A random factor between 0.5 and 1, so that pools that crashed together do not start together.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    0.5 + f64::from(u16::try_from(random >> 48).unwrap_or_default()) / 131_072.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> (Health, Instant) {
        let second = Duration::from_secs(1);
        let options = HealthOptions {
            backoff: Duration::from_millis(10),
            backoff_max: 5 * second,
            reset: 30 * second,
            breaker_crashes: 5,
            breaker_window: 30 * second,
        };
        (Health::new(options), Instant::now())
    }

    #[test]
    fn the_backoff_doubles_and_resets() {
        let (mut health, mut now) = health();
        let mut expected = Duration::from_millis(10);
        for _ in 0..4 {
            health.crashed(now);
            let rest = health.start_delay(now);
            assert!(rest >= expected / 2 && rest <= expected, "{rest:?} of {expected:?}");
            expected *= 2;
            now += Duration::from_secs(7);
        }
        now += Duration::from_secs(30);
        health.crashed(now);
        assert!(health.start_delay(now) <= Duration::from_millis(10));
        assert_eq!(health.start_delay(now + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn the_backoff_has_a_maximum() {
        let (mut health, now) = health();
        for _ in 0..50 {
            health.crashed(now);
        }
        assert!(health.start_delay(now) <= Duration::from_secs(5));
    }

    #[test]
    fn five_crashes_open_the_breaker_and_one_answer_closes_it() {
        let (mut health, now) = health();
        for _ in 0..4 {
            assert!(!health.crashed(now));
            assert!(health.admit(now).is_ok());
        }
        assert!(health.crashed(now));
        assert!(health.is_open());
        assert_eq!(health.admit(now), Err(MIN_OPEN));
        let later = now + MIN_OPEN;
        assert!(health.admit(later).is_ok(), "one probe is admitted");
        assert!(health.admit(later).is_err(), "and no other call");
        health.answered();
        assert!(health.admit(later).is_ok());
        assert!(!health.crashed(later), "the count starts over");
    }

    #[test]
    fn a_probe_that_crashes_doubles_the_open_time() {
        let (mut health, mut now) = health();
        (0..5).for_each(|_| _ = health.crashed(now));
        for open_for in [2, 4, 8, 16, 30, 30] {
            now += MAX_OPEN;
            assert!(health.admit(now).is_ok());
            assert!(health.crashed(now));
            assert_eq!(health.admit(now), Err(Duration::from_secs(open_for)));
        }
    }

    #[test]
    fn a_probe_that_never_completes_times_out() {
        let (mut health, now) = health();
        (0..5).for_each(|_| _ = health.crashed(now));
        assert!(health.admit(now + MIN_OPEN).is_ok());
        assert!(health.admit(now + 2 * MIN_OPEN).is_ok());
    }

    #[test]
    fn crashes_far_apart_do_not_add_up() {
        let (mut health, mut now) = health();
        for _ in 0..20 {
            assert!(!health.crashed(now));
            now += Duration::from_secs(10);
        }
    }
}
