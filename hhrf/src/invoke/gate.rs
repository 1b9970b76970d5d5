//! How many calls a function runs at once, how many of them nobody waits for any more, and whether they block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::metrics::Stats;

/// A call that takes as long blocks, or works as hard as if it did.
const BLOCKS: Duration = Duration::from_millis(1);
/// A function that was found to block, and then answers as soon, does so no more. Between the two it stays what it was.
const QUICK: Duration = Duration::from_micros(250);

/// One function's door.
#[derive(Debug)]
pub(crate) struct Gate {
    inside: Arc<Inside>,
    max_concurrency: usize,
    abandoned: AtomicUsize,
    /// With how many abandoned calls no more are made.
    abandoned_max: usize,
    overloaded: AtomicBool,
    blocks: AtomicBool,
}

/// Who has come in.
#[derive(Debug)]
struct Inside {
    calls: AtomicUsize,
    stats: Arc<Stats>,
}

/// The right to run one call. It belongs to the call itself, not to the request that waits for it: a client that
/// leaves does not free a thread that is still at work.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Inside>);

impl Gate {
    pub(crate) fn new(max_concurrency: usize, abandoned_max: usize, stats: Arc<Stats>) -> Self {
        let inside = Arc::new(Inside { calls: AtomicUsize::new(0), stats });
        let (abandoned, overloaded, blocks) =
            (AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
        Self { inside, max_concurrency, abandoned, abandoned_max, overloaded, blocks }
    }

    /// A permit, if one is free.
    pub(crate) fn enter(&self) -> Option<Permit> {
        // Nobody waits here, so that counting is enough; never more than there may be, or one who is refused could have
        // another refused for whom there is room. Acquire: what the last call left behind is seen.
        let one_more = |calls| (calls < self.max_concurrency).then_some(calls + 1);
        self.inside.calls.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).ok()?;
        self.inside.stats.in_flight.inc();
        Some(Permit(Arc::clone(&self.inside)))
    }

    /// How many calls are running that nobody waits for, where they are so many that no more may be made: each keeps a
    /// thread from other functions. It is over when half of them have ended.
    pub(crate) fn overload(&self) -> Option<usize> {
        let abandoned = self.abandoned.load(Ordering::Relaxed);
        if self.overloaded.load(Ordering::Relaxed) {
            if abandoned <= self.abandoned_max / 2 {
                self.overloaded.store(false, Ordering::Relaxed);
                return None;
            }
            return Some(abandoned);
        }
        let is_too_much = abandoned >= self.abandoned_max;
        if is_too_much {
            self.overloaded.store(true, Ordering::Relaxed);
        }
        is_too_much.then_some(abandoned)
    }

    /// How many running calls nobody waits for.
    pub(crate) fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Whether calls block, as far as is known.
    pub(crate) fn blocks(&self) -> bool {
        self.blocks.load(Ordering::Relaxed)
    }

    /// Learns from how long a call has held its thread.
    pub(crate) fn learn(&self, took: Duration) {
        // Written when it changes only: it is read for each call.
        if took >= BLOCKS && !self.blocks() {
            self.blocks.store(true, Ordering::Relaxed);
        } else if took <= QUICK && self.blocks() {
            self.blocks.store(false, Ordering::Relaxed);
        }
    }

    /// Counts a running call that nobody waits for any more, until it ends; answers with how many there are.
    pub(crate) fn abandon(&self) -> usize {
        self.abandoned.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts the end of an abandoned call.
    pub(crate) fn recover(&self) {
        self.abandoned.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.stats.in_flight.dec();
        self.0.calls.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_come_in_than_may() {
        let gate = Gate::new(2, 1, Arc::default());
        let first = gate.enter();
        let second = gate.enter();
        assert!(first.is_some() && second.is_some() && gate.enter().is_none() && gate.enter().is_none());
        drop(first);
        let third = gate.enter();
        assert!(third.is_some() && gate.enter().is_none());
        drop((second, third));
        assert_eq!(gate.inside.stats.in_flight.get(), 0);
    }

    #[test]
    fn what_blocked_once_is_known_until_it_is_quick_again() {
        let gate = Gate::new(1, 1, Arc::default());
        let mut learned = Vec::new();
        for took in [QUICK, BLOCKS, QUICK * 2, QUICK, QUICK * 2] {
            gate.learn(took);
            learned.push(gate.blocks());
        }
        assert_eq!(learned, [false, true, true, false, false]);
    }
}
