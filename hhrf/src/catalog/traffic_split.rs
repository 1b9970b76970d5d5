//! Traffic splits: an alias sends each of several versions its share of the calls.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::function::Function;

/// The versions behind an alias, with their weights.
#[derive(Debug)]
pub(super) struct TrafficSplit {
    /// Each function with the sum of the weights up to and including its own.
    shares: Vec<(u64, Arc<Function>)>,
    total: u64,
    next: AtomicU64,
}

impl TrafficSplit {
    /// None without any weight.
    pub(super) fn new(weighted: impl Iterator<Item = (u32, Arc<Function>)>) -> Option<Self> {
        let mut total = 0;
        let mut shares = Vec::new();
        for (weight, function) in weighted {
            total += u64::from(weight);
            shares.push((total, function));
        }
        (total > 0).then_some(Self { shares, total, next: AtomicU64::new(0) })
    }

    /// Those that get calls.
    pub(super) fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        let before = std::iter::once(0).chain(self.shares.iter().map(|(end, _)| *end));
        self.shares
            .iter()
            .zip(before)
            .filter(|((end, _), before)| end > before)
            .map(|((_, function), _)| function)
    }

    /// The next call's version; the same one for the same sticky value.
    pub(super) fn pick(&self, sticky: Option<&[u8]>) -> Option<&Arc<Function>> {
        let point = sticky.map_or_else(|| self.next_point(), point_of);
        // Scaled: the remainder would favour the first share.
        let point = (u128::from(point) * u128::from(self.total)) >> 64;
        self.shares.iter().find(|(end, _)| point < u128::from(*end)).map(|(_, function)| function)
    }

    /// Steps by the golden ratio of the range, which spreads evenly from the first few calls on; random points do not.
    fn next_point(&self) -> u64 {
        self.next.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// The same point for the same value, in every process.
fn point_of(value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
