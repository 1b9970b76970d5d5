//! A small direct-mapped table of recently called libraries in front of moka, whose look-up costs more than most stages.
//!
//! moka stays the owner: the table holds weak references, does not return what has been evicted, and asks moka again now
//! and then, or moka would take the function to be idle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapWeak;

use super::library::LoadedLibrary;
use crate::function::FunctionKey;

/// A power of two. Functions that share an entry displace each other, and are then looked up in moka.
const ENTRIES: usize = 256;

/// The table.
#[derive(Debug)]
pub(super) struct Recent {
    entries: Vec<Entry>,
    /// How long an entry may be used without asking moka.
    max_age: Duration,
    created: Instant,
}

#[derive(Debug)]
struct Entry {
    library: ArcSwapWeak<LoadedLibrary>,
    /// When moka was last asked: nanoseconds after the table's creation.
    asked: AtomicU64,
}

impl Recent {
    pub(super) fn new(max_age: Duration) -> Self {
        let entry = || Entry { library: ArcSwapWeak::new(Weak::new()), asked: AtomicU64::new(0) };
        let entries = std::iter::repeat_with(entry).take(ENTRIES).collect();
        Self { entries, max_age, created: Instant::now() }
    }

    /// The library of this function, if it is here and moka was asked recently.
    pub(super) fn get(&self, key: &Arc<FunctionKey>, now: Instant) -> Option<Arc<LoadedLibrary>> {
        let entry = self.entry(key);
        let age = self.nanos(now).saturating_sub(entry.asked.load(Ordering::Relaxed));
        if Duration::from_nanos(age) > self.max_age {
            return None;
        }
        entry.library.load().upgrade().filter(|library| library.is_of(key) && !library.is_evicted())
    }

    /// Remembers what moka has answered now.
    pub(super) fn set(&self, key: &Arc<FunctionKey>, library: &Arc<LoadedLibrary>, now: Instant) {
        let entry = self.entry(key);
        entry.asked.store(self.nanos(now), Ordering::Relaxed);
        entry.library.store(Arc::downgrade(library));
    }

    /// Keys are told apart by their address here: a function's key lives as long as the function.
    fn entry(&self, key: &Arc<FunctionKey>) -> &Entry {
        let address = Arc::as_ptr(key).addr();
        // Allocations of one size lie close together, at multiples of it.
        &self.entries[(address >> 4 ^ address >> 12) % ENTRIES]
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.created).as_nanos()).unwrap_or(u64::MAX)
    }
}
