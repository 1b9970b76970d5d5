//! How many calls a function runs at once, how many of them nobody waits for any more, and whether they block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use crate::metrics::Stats;

/// A call that takes as long blocks, or works as hard as if it did.
const BLOCKS: Duration = Duration::from_millis(1);
/// A call that takes no longer does not. Between the two it says nothing.
const QUICK: Duration = Duration::from_micros(250);
/// How many more calls of the one kind than of the other change what a function is taken for. A single one may have
/// waited for its core, or have found something in a cache.
const CONVINCED: u8 = 3;

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
    /// How much speaks for that, up to [`CONVINCED`].
    evidence: AtomicU8,
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
        let (abandoned, overloaded) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (blocks, evidence) = (AtomicBool::new(false), AtomicU8::new(0));
        Self { inside, max_concurrency, abandoned, abandoned_max, overloaded, blocks, evidence }
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
        let before = self.evidence.load(Ordering::Relaxed);
        let after = match took {
            _ if took >= BLOCKS => (before + 1).min(CONVINCED),
            _ if took <= QUICK => before.saturating_sub(1),
            _ => before,
        };
        // Written when it changes only: it is read for each call. Calls that end at once may lose one another's word.
        if after != before {
            self.evidence.store(after, Ordering::Relaxed);
            if after == 0 || after == CONVINCED {
                self.blocks.store(after == CONVINCED, Ordering::Relaxed);
            }
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
    fn one_call_changes_nothing_but_three_do() {
        let gate = Gate::new(1, 1, Arc::default());
        let learned = |calls: &[Duration]| {
            calls.iter().for_each(|&took| gate.learn(took));
            gate.blocks()
        };
        assert!(!learned(&[BLOCKS, QUICK, BLOCKS, BLOCKS, QUICK * 2]), "two more");
        assert!(learned(&[BLOCKS]), "three more");
        assert!(learned(&[QUICK, BLOCKS, QUICK, QUICK, QUICK * 2]), "two less");
        assert!(!learned(&[QUICK]), "three less");
    }
}
