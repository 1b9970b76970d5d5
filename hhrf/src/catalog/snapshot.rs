//! The catalog: an immutable map from every name that a request may use to a function.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fezz_manifest::{Aliases, Mounts, Share, Version};
use foldhash::fast::RandomState;

use super::mounts::{Mounted, MountedFunctions};
use super::traffic_split::TrafficSplit;
use crate::function::Function;

/// All functions, by all names that requests may use: `todos@1.2.0`, `todos@1.2`, `todos@1`, `todos`, `todos@live`.
/// All names are computed when a catalog is made: a look-up is one hash.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    by_name: ByName,
    functions: Vec<Arc<Function>>,
    mounts: MountedFunctions,
}

/// Names come from the operator, who does not attack the hash: a fast one will do.
type ByName = HashMap<String, Entry, RandomState>;

#[derive(Debug)]
enum Entry {
    One(Arc<Function>),
    Split(TrafficSplit),
}

impl Catalog {
    pub(crate) fn new(functions: Vec<Arc<Function>>, aliases: &Aliases, mounts: &Mounts) -> Self {
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
            if let Some(split) = split(id, shares, &by_name) {
                by_name.insert(format!("{id}@{alias}"), Entry::Split(split));
            }
        }
        Self { by_name, functions, mounts: MountedFunctions::new(mounts) }
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

    /// Whether any function has a place of its own.
    pub(crate) const fn has_mounts(&self) -> bool {
        !self.mounts.is_empty()
    }

    /// The function that is mounted where this `Host` header and path lead.
    pub(crate) fn mounted(&self, host: Option<&[u8]>, path: &str) -> Option<Mounted<'_>> {
        self.mounts.find(host, path)
    }

    /// All names that requests may use.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// All functions that a name may lead to.
    pub(super) fn behind(&self, name: &str) -> Vec<&Arc<Function>> {
        match self.by_name.get(name) {
            None => Vec::new(),
            Some(Entry::One(function)) => vec![function],
            Some(Entry::Split(split)) => split.functions().collect(),
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

/// A split over the versions that exist; the shares of others fall to these.
fn split(id: &str, shares: &[Share], by_name: &ByName) -> Option<TrafficSplit> {
    TrafficSplit::new(shares.iter().filter_map(|Share { version, weight }| {
        match by_name.get(&format!("{id}@{version}")) {
            Some(Entry::One(function)) => Some((*weight, Arc::clone(function))),
            _ => None,
        }
    }))
}

#[cfg(test)]
mod tests;
