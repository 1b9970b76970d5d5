//! The calls of one function that are running: how many, how many of them were abandoned, and whether they block.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

/// A call that takes this long counts as blocking.
const BLOCKING_CALL: Duration = Duration::from_millis(1);
/// A call that takes no longer counts as quick. Between the two, a call counts as neither.
const QUICK_CALL: Duration = Duration::from_micros(250);
/// How many more calls of one kind than of the other change the classification. A single call may have waited for a
/// core, or have found something in a cache.
const CALLS_TO_CHANGE: u8 = 3;

/// Counters of one function. Each is exact alone; together they are no snapshot.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    running: AtomicUsize,
    abandoned: AtomicUsize,
    overloaded: AtomicBool,
    block: AtomicBool,
    /// How many more calls blocked than were quick, from 0 to [`CALLS_TO_CHANGE`].
    blocking_lead: AtomicU8,
}

impl Calls {
    /// Counts one more running call, unless there are `limit` already.
    pub(crate) fn begin(&self, limit: usize) -> bool {
        // Never above the limit, not even for a moment: that would refuse a call for which there is room. Acquire: what
        // the last call left behind is seen.
        let one_more = |running| (running < limit).then_some(running + 1);
        self.running.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).is_ok()
    }

    /// Counts the end of a running call.
    pub(crate) fn end(&self) {
        self.running.fetch_sub(1, Ordering::Release);
    }

    /// How many running calls have lost their caller.
    pub(crate) fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Counts a running call whose caller has gone; answers with how many there are.
    pub(crate) fn abandon(&self) -> usize {
        self.abandoned.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts the end of an abandoned call.
    pub(crate) fn abandoned_ended(&self) {
        self.abandoned.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number of abandoned calls, if it is so high that no more calls may be made: each holds a thread. Begins at
    /// `limit`, and ends when half of them have ended.
    pub(crate) fn overload(&self, limit: usize) -> Option<usize> {
        let abandoned = self.abandoned();
        if self.overloaded.load(Ordering::Relaxed) {
            if abandoned <= limit / 2 {
                self.overloaded.store(false, Ordering::Relaxed);
                return None;
            }
            return Some(abandoned);
        }
        if abandoned < limit {
            return None;
        }
        self.overloaded.store(true, Ordering::Relaxed);
        Some(abandoned)
    }

    /// Whether calls block, by what is known so far.
    pub(crate) fn block(&self) -> bool {
        self.block.load(Ordering::Relaxed)
    }

    /// Learns from how long a call has held its thread.
    pub(crate) fn learn(&self, took: Duration) {
        let before = self.blocking_lead.load(Ordering::Relaxed);
        let after = match took {
            _ if took >= BLOCKING_CALL => (before + 1).min(CALLS_TO_CHANGE),
            _ if took <= QUICK_CALL => before.saturating_sub(1),
            _ => before,
        };
        // Written only where it changes: it is read for each call. Calls that end together may lose a count.
        if after != before {
            self.blocking_lead.store(after, Ordering::Relaxed);
            if after == 0 || after == CALLS_TO_CHANGE {
                self.block.store(after == CALLS_TO_CHANGE, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_calls_begin_than_the_limit() {
        let calls = Calls::default();
        assert!(calls.begin(2) && calls.begin(2) && !calls.begin(2));
        calls.end();
        assert!(calls.begin(2) && !calls.begin(2));
    }

    #[test]
    fn overload_ends_when_half_of_the_abandoned_calls_have_ended() {
        let calls = Calls::default();
        (0..4).for_each(|_| _ = calls.abandon());
        assert_eq!((calls.overload(5), calls.overload(4)), (None, Some(4)));
        calls.abandoned_ended();
        assert_eq!(calls.overload(4), Some(3));
        calls.abandoned_ended();
        assert_eq!(calls.overload(4), None);
    }

    #[test]
    fn three_calls_change_the_classification() {
        let calls = Calls::default();
        let learned = |all: &[Duration]| {
            all.iter().for_each(|&took| calls.learn(took));
            calls.block()
        };
        let (blocking, quick) = (BLOCKING_CALL, QUICK_CALL);
        assert!(!learned(&[blocking, quick, blocking, blocking, quick * 2]), "two more");
        assert!(learned(&[blocking]), "three more");
        assert!(learned(&[quick, blocking, quick, quick, quick * 2]), "two less");
        assert!(!learned(&[quick]), "three less");
    }
}
