//! The calls of one function that are running or wait for room: how many, how many of them were abandoned, and whether
//! they block.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

/// A call that takes this long counts as blocking.
const BLOCKING_CALL: Duration = Duration::from_millis(1);
/// A call that takes no longer counts as quick. Between the two, a call counts as neither.
const QUICK_CALL: Duration = Duration::from_micros(250);
/// How many more calls of one kind than of the other change the classification. A single call may have waited for a
/// core, or have found something in a cache.
const CALLS_TO_CHANGE: u8 = 3;

/// Counters of one function. Each is exact alone; together they are no snapshot.
#[derive(Debug)]
pub(crate) struct Calls {
    /// A permit for each call that may run; those who wait for one get it in their order.
    permits: Semaphore,
    waiting: AtomicUsize,
    abandoned: AtomicUsize,
    overloaded: AtomicBool,
    /// Upgraded connections that are open.
    upgrades: AtomicUsize,
    block: AtomicBool,
    /// How many more calls blocked than were quick, from 0 to [`CALLS_TO_CHANGE`].
    blocking_lead: AtomicU8,
}

impl Calls {
    /// No calls yet, and at most `limit` at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            permits: Semaphore::new(limit),
            waiting: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
            overloaded: AtomicBool::new(false),
            upgrades: AtomicUsize::new(0),
            block: AtomicBool::new(false),
            blocking_lead: AtomicU8::new(0),
        }
    }

    /// Begins a call, if there is room and nobody waits for it.
    pub(crate) fn try_begin(&self) -> bool {
        self.permits.try_acquire().map(|permit| permit.forget()).is_ok()
    }

    /// Begins a call once there is room.
    pub(crate) async fn begin(&self) {
        // Fails only where the semaphore is closed, which nobody does.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }

    /// Ends a running call.
    pub(crate) fn end(&self) {
        self.permits.add_permits(1);
    }

    /// Counts one more waiting call, unless there are `limit` already.
    pub(crate) fn queue(&self, limit: usize) -> bool {
        let one_more = |waiting| (waiting < limit).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Counts the end of a wait.
    pub(crate) fn leave_queue(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one more upgraded connection, unless there are `limit` already.
    pub(crate) fn open_upgrade(&self, limit: usize) -> bool {
        let one_more = |open| (open < limit).then_some(open + 1);
        self.upgrades.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Counts the end of an upgraded connection.
    pub(crate) fn close_upgrade(&self) {
        self.upgrades.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many calls wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
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
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn no_more_calls_begin_than_the_limit() {
        let calls = Calls::new(2);
        assert!(calls.try_begin() && calls.try_begin() && !calls.try_begin());
        calls.end();
        assert!(calls.try_begin() && !calls.try_begin());
    }

    #[tokio::test]
    async fn the_oldest_call_that_still_waits_is_next_and_nobody_overtakes_it() {
        let calls = Calls::new(1);
        assert!(calls.try_begin());
        let cx = &mut Context::from_waker(Waker::noop());
        let mut first = Box::pin(calls.begin());
        let mut second = Box::pin(calls.begin());
        assert!(first.as_mut().poll(cx).is_pending() && second.as_mut().poll(cx).is_pending());
        drop(first);
        calls.end();
        assert!(!calls.try_begin(), "the permit is the second one's");
        second.await;
        calls.end();
        assert!(calls.try_begin());
    }

    #[test]
    fn the_queue_has_a_limit() {
        let calls = Calls::new(1);
        assert!(calls.queue(2) && calls.queue(2) && !calls.queue(2));
        calls.leave_queue();
        assert!(calls.queue(2) && !calls.queue(0));
    }

    #[test]
    fn overload_ends_when_half_of_the_abandoned_calls_have_ended() {
        let calls = Calls::new(9);
        (0..4).for_each(|_| _ = calls.abandon());
        assert_eq!((calls.overload(5), calls.overload(4)), (None, Some(4)));
        calls.abandoned_ended();
        assert_eq!(calls.overload(4), Some(3));
        calls.abandoned_ended();
        assert_eq!(calls.overload(4), None);
    }

    #[test]
    fn three_calls_change_the_classification() {
        let calls = Calls::new(9);
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
