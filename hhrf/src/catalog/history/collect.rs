//! Collection of what nothing refers to: files of the store, and histories of versions that are long gone.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use fezz_runtime::Digest;
use rustix::fs::{FlockOperation, flock};

use super::{History, RETENTION, Record};
use crate::catalog::durable;
use crate::catalog::store::{Store, StoredLibrary};

/// Removes files, unless another process uses the same store: at a hand-over, the old one may still load from it.
#[derive(Debug)]
pub(in crate::catalog) struct Collector {
    history: History,
    store: Store,
    /// Locked by each process that uses the store, shared; a process that collects has it alone. None where it cannot be
    /// written: nothing is collected then.
    lock: Option<File>,
}

/// What a collection has removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::catalog) struct Collected {
    pub(in crate::catalog) libraries: usize,
    pub(in crate::catalog) files: usize,
    pub(in crate::catalog) trees: usize,
    pub(in crate::catalog) blobs: usize,
    pub(in crate::catalog) histories: usize,
}

/// What records refer to.
#[derive(Debug, Default)]
struct References {
    /// Name of a function, and digest of its library.
    libraries: HashSet<(String, Digest)>,
    files: HashSet<Digest>,
    trees: HashSet<Digest>,
}

impl Collector {
    /// Says that this process uses the store; waits while another one collects.
    pub(in crate::catalog) fn new(history: History, store: Store) -> Self {
        let path = store.root().join(".lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
        // Some network file systems have no locks, a disk may be full.
        let lock = lock.and_then(|lock| {
            flock(&lock, FlockOperation::LockShared)?;
            Ok(lock)
        });
        let lock = lock.inspect_err(|error| {
            tracing::warn!("the store cannot be locked, nothing is removed from it: {error}");
        });
        Self { history, store, lock: lock.ok() }
    }

    /// Removes what nothing refers to. `in_use` are the libraries and assets of functions that this process holds, and `aliased` says
    /// whether an alias names a function. None where another process uses the store.
    pub(in crate::catalog) fn collect(
        &self,
        in_use: &HashSet<PathBuf>,
        aliased: impl Fn(&str) -> bool,
    ) -> io::Result<Option<Collected>> {
        let Some(lock) = &self.lock else { return Ok(Some(Collected::default())) };
        if flock(lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            // The attempt may have cost the shared lock.
            let _ = flock(lock, FlockOperation::LockShared);
            return Ok(None);
        }
        let collected = self.sweep(in_use, aliased);
        let _ = flock(lock, FlockOperation::LockShared);
        collected.map(Some)
    }

    fn sweep(&self, in_use: &HashSet<PathBuf>, aliased: impl Fn(&str) -> bool) -> io::Result<Collected> {
        let mut histories = BTreeMap::new();
        for name in self.history.names()? {
            // One that cannot be read may refer to anything.
            histories.insert(name.clone(), self.history.records(&name)?);
        }
        let mut collected = Collected::default();
        for name in long_gone(&histories, aliased) {
            durable::remove(&self.history.file(&name))?;
            histories.remove(&name);
            collected.histories += 1;
        }
        let references = References::of(&histories);
        for (digest, libraries) in self.store.libraries()? {
            for library in unreferenced(&libraries, digest, &references, in_use) {
                durable::remove(&library)?;
                collected.libraries += 1;
            }
            self.store.remove_empty_folders(digest)?;
        }
        for digest in self.store.files()? {
            if !references.files.contains(&digest) {
                durable::remove(&self.store.file(digest))?;
                collected.files += 1;
            }
        }
        self.sweep_assets(&references, in_use, &mut collected)?;
        Ok(collected)
    }

    fn sweep_assets(
        &self,
        references: &References,
        in_use: &HashSet<PathBuf>,
        collected: &mut Collected,
    ) -> io::Result<()> {
        self.store.remove_unfinished_trees()?;
        for digest in self.store.trees()? {
            if !references.trees.contains(&digest) && !in_use.contains(&self.store.tree_path(digest)) {
                self.store.remove_tree(digest)?;
                collected.trees += 1;
            }
        }
        collected.blobs += self.store.remove_unused_blobs()?;
        Ok(())
    }
}

impl References {
    fn of(histories: &BTreeMap<String, Vec<Record>>) -> Self {
        let mut references = Self::default();
        for (name, records) in histories {
            for build in records.iter().filter_map(Record::build) {
                references.libraries.insert((name.clone(), build.digest));
                references.files.insert(build.manifest);
                references.files.extend(build.env);
                references.files.extend(build.assets);
                references.trees.extend(build.assets);
            }
        }
        references
    }
}

/// The libraries of one digest that may go. Of the copies of a function's library, one for each of its settings, those
/// that are in use stay, and the latest.
fn unreferenced(
    libraries: &[StoredLibrary],
    digest: Digest,
    references: &References,
    in_use: &HashSet<PathBuf>,
) -> Vec<PathBuf> {
    let referenced = |name: &str| references.libraries.contains(&(name.to_owned(), digest));
    let is_latest = |library: &StoredLibrary| {
        let others = libraries.iter().filter(|other| other.function == library.function);
        others.map(|other| other.used).max() <= Some(library.used)
    };
    let stays = |library: &&StoredLibrary| {
        in_use.contains(&library.path)
            || (referenced(&library.function) && is_latest(library))
            // A version may end as the name of a copy with settings does.
            || referenced(&library.stem)
    };
    libraries.iter().filter(|library| !stays(library)).map(|library| library.path.clone()).collect()
}

/// Functions that were removed, that no alias names, and that are not among the latest such versions of their id.
fn long_gone(histories: &BTreeMap<String, Vec<Record>>, aliased: impl Fn(&str) -> bool) -> Vec<String> {
    let mut gone: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (name, records) in histories {
        let Some(last) = records.last().filter(|last| last.build().is_none()) else { continue };
        if !aliased(name) {
            let id = name.split_once('@').map_or(name.as_str(), |(id, _)| id);
            gone.entry(id).or_default().push((&last.at, name));
        }
    }
    let mut names = Vec::new();
    for mut versions in gone.into_values() {
        versions.sort_unstable_by(|a, b| b.cmp(a));
        names.extend(versions.into_iter().skip(RETENTION).map(|(_, name)| name.to_owned()));
    }
    names
}
