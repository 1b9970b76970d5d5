//! The catalog: one immutable answer to "which function does this name mean", for every name there is.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fezz_manifest::{Aliases, Share, Version};
use foldhash::fast::RandomState;

use super::Function;

/// All functions, by all names that requests may use: `todos@1.2.0`, `todos@1.2`, `todos@1`, `todos`, `todos@live`.
/// They are worked out when a catalog is made, so that a look-up is one hash.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    by_name: ByName,
    functions: Vec<Arc<Function>>,
}

/// Names are the operator's: there is nobody who would make them collide, and a faster hash will do.
type ByName = HashMap<String, Entry, RandomState>;

#[derive(Debug)]
enum Entry {
    One(Arc<Function>),
    Split(Split),
}

/// An alias: several versions, each with its share of the traffic.
#[derive(Debug)]
struct Split {
    /// Each function with the sum of the weights up to and including its own.
    shares: Vec<(u64, Arc<Function>)>,
    total: u64,
    next: AtomicU64,
}

impl Catalog {
    pub(crate) fn new(functions: Vec<Arc<Function>>, aliases: &Aliases) -> Self {
        let mut by_name = ByName::default();
        let mut versions: BTreeMap<&str, Vec<&Arc<Function>>> = BTreeMap::new();
        for function in &functions {
            versions.entry(&function.key.id).or_default().push(function);
            by_name.insert(function.name().to_owned(), Entry::One(Arc::clone(function)));
        }
        for (id, functions) in versions {
            for (name, function) in shorthands(id, functions) {
                by_name.insert(name, Entry::One(Arc::clone(function)));
            }
        }
        for (id, alias, shares) in aliases.iter() {
            if let Some(split) = Split::new(id, shares, &by_name) {
                by_name.insert(format!("{id}@{alias}"), Entry::Split(split));
            }
        }
        Self { by_name, functions }
    }

    /// The function that a request names. `sticky` is asked for an alias only: what it gives decides which version
    /// the request is for, the same each time.
    pub(crate) fn find<'s>(
        &self,
        name: &str,
        sticky: impl FnOnce() -> Option<&'s [u8]>,
    ) -> Option<&Arc<Function>> {
        match self.by_name.get(name)? {
            Entry::One(function) => Some(function),
            Entry::Split(split) => split.pick(sticky()),
        }
    }

    pub(crate) fn functions(&self) -> &[Arc<Function>] {
        &self.functions
    }
}

/// The names that mean the best of several versions: the highest release of a major or minor version, and for the id
/// alone `latest`, or else the highest release. Pre-releases are only ever meant by their full name.
fn shorthands<'f>(id: &str, mut functions: Vec<&'f Arc<Function>>) -> HashMap<String, &'f Arc<Function>> {
    functions.sort_by(|a, b| a.version.cmp(&b.version));
    let mut names = HashMap::new();
    // From the lowest to the highest, so that the highest stays; `latest` sorts behind all releases.
    for function in functions {
        match &function.version {
            Version::Latest => {
                names.insert(id.to_owned(), function);
            }
            Version::Release(version) if version.pre.is_empty() => {
                names.insert(id.to_owned(), function);
                names.insert(format!("{id}@{}", version.major), function);
                names.insert(format!("{id}@{}.{}", version.major, version.minor), function);
            }
            Version::Release(_) => {}
        }
    }
    names
}

impl Split {
    /// Shares of versions that are not there any more fall to the others; without any, there is no split.
    fn new(id: &str, shares: &[Share], by_name: &ByName) -> Option<Self> {
        let mut total = 0;
        let mut known = Vec::new();
        for Share { version, weight } in shares {
            if let Some(Entry::One(function)) = by_name.get(&format!("{id}@{version}")) {
                total += u64::from(*weight);
                known.push((total, Arc::clone(function)));
            }
        }
        (total > 0).then_some(Self { shares: known, total, next: AtomicU64::new(0) })
    }

    fn pick(&self, sticky: Option<&[u8]>) -> Option<&Arc<Function>> {
        let point = sticky.map_or_else(|| self.next_point(), point_of);
        // Scaled, not the remainder, which would favour the first share.
        let point = (u128::from(point) * u128::from(self.total)) >> 64;
        self.shares.iter().find(|(end, _)| point < u128::from(*end)).map(|(_, function)| function)
    }

    /// Steps by the golden ratio of the range: spreads evenly from the first few requests on, as chance would not.
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

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
