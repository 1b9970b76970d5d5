//! A function's short cut past the cache: a look-up there takes more instructions than most stages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapWeak;

use super::load::Loaded;

/// Where a function remembers what the cache said last. The cache stays the owner: this keeps nothing loaded, and what
/// has left the cache is not used. The cache is asked all the same now and then, or it would take the function to be
/// idle.
#[derive(Debug)]
pub(crate) struct Slot {
    loaded: ArcSwapWeak<Loaded>,
    made: Instant,
    /// When the cache was last asked: nanoseconds after `made`.
    asked: AtomicU64,
}

impl Default for Slot {
    fn default() -> Self {
        Self { loaded: ArcSwapWeak::new(Weak::new()), made: Instant::now(), asked: AtomicU64::new(0) }
    }
}

impl Slot {
    /// What the cache said, where that is not longer ago than `max_age`.
    pub(super) fn get(&self, now: Instant, max_age: Duration) -> Option<Arc<Loaded>> {
        let age = self.nanos(now).saturating_sub(self.asked.load(Ordering::Relaxed));
        if Duration::from_nanos(age) > max_age {
            return None;
        }
        self.loaded.load().upgrade().filter(|loaded| !loaded.has_left())
    }

    /// Remembers what the cache says now.
    pub(super) fn set(&self, loaded: &Arc<Loaded>, now: Instant) {
        self.asked.store(self.nanos(now), Ordering::Relaxed);
        self.loaded.store(Arc::downgrade(loaded));
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.made).as_nanos()).unwrap_or(u64::MAX)
    }
}
