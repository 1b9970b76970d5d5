//! The registry: what is deployed in each folder, its last error, and the catalog built from all of them.

mod absence;
mod bring_up;
mod collecting;
mod deployment;
mod examine;
mod files;
mod restore;
mod state;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use fezz_manifest::{Aliases, Mounts};
use futures_util::{StreamExt, stream};
use tokio::sync::{RwLock, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::deploy::Deployer;
use super::folder_file::{Content, FolderFile};
use super::history::{Collector, History};
use super::keyed_mutex::{KeyGuard, KeyedMutex};
use super::last_good::LastGood;
use super::store::Store;
use super::{Activate, Catalog, OpenError, Options, ownership};
use crate::function::{Function, FunctionKey, Quarantined};
pub(crate) use deployment::Deployment;
use examine::{Change, Look};
use files::Texts;
use state::State;

/// Folders that are scanned at once: more than there are cores, since probes mostly wait.
const CONCURRENT_SCANS: usize = 8;
/// How long changes are gathered before they are published in one new catalog.
const PUBLISH_DELAY: Duration = Duration::from_millis(25);

/// All folders.
#[derive(Debug)]
pub(crate) struct Registry {
    deployer: Deployer,
    /// Brings new builds up.
    loader: Arc<dyn Activate>,
    history: History,
    last_good: LastGood,
    collector: Collector,
    /// Whether something was recorded since the last collection.
    has_garbage: AtomicBool,
    /// Read while a folder is deployed, so that nothing is collected which is about to be recorded.
    deploying: RwLock<()>,
    /// All functions that somebody may hold.
    held: Mutex<Vec<Weak<Function>>>,
    settle: Duration,
    /// How often the files beside the folders were read.
    file_reads: AtomicU64,
    /// Whether all folders have been scanned once.
    begun: AtomicBool,
    catalog: Arc<ArcSwap<Catalog>>,
    state: Mutex<State>,
    folder_locks: Arc<KeyedMutex>,
    concurrent_scans: Semaphore,
}

impl Registry {
    /// A registry in which nothing is deployed yet, which publishes to `catalog`. The keys of functions that nothing holds
    /// any more go to `dropped`. A build that replaces another is brought up by `loader` first. A build in `quarantined` is
    /// not called in this process.
    ///
    /// # Errors
    /// Where the state folder cannot be used, or where the functions folder cannot be read and nothing is known that was
    /// deployed from it.
    pub(crate) fn open(
        options: &Options,
        quarantined: Vec<Quarantined>,
        catalog: Arc<ArcSwap<Catalog>>,
        loader: Arc<dyn Activate>,
        dropped: mpsc::UnboundedSender<Arc<FunctionKey>>,
    ) -> Result<Self, OpenError> {
        let state = |source| OpenError::State { folder: options.state_dir.display().to_string(), source };
        // Before anything in it is used.
        ownership::check(&options.state_dir).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => OpenError::Untrusted(error),
            _ => state(error),
        })?;
        let store = Store::open(&options.state_dir).map_err(state)?;
        let history = History::of(&options.state_dir, store.clone());
        let collector = Collector::new(history.clone(), store.clone());
        let last_good = LastGood::of(&options.state_dir);
        let aliases = FolderFile::after(last_good.file(Aliases::FILE));
        let mounts = FolderFile::after(last_good.file(Mounts::FILE));
        Ok(Self {
            deployer: Deployer::new(options, store, quarantined, dropped)?,
            loader,
            history,
            last_good,
            collector,
            has_garbage: AtomicBool::new(true),
            deploying: RwLock::default(),
            held: Mutex::default(),
            settle: options.timing.settle,
            file_reads: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            catalog,
            state: Mutex::new(State { aliases, mounts, ..State::default() }),
            folder_locks: Arc::default(),
            concurrent_scans: Semaphore::new(CONCURRENT_SCANS),
        })
    }

    /// Has these builds not be called in this process from here on, and all others.
    pub(crate) async fn quarantine(self: &Arc<Self>, quarantined: Vec<Quarantined>) {
        let names = self.deployer.set_quarantined(quarantined);
        for name in &names {
            if let Some(deployment) = self.lock().deployments.get_mut(name) {
                // As if it had changed.
                deployment.fingerprint = None;
            }
        }
        self.update(names.clone()).await;
        for name in names {
            self.quarantine_previous(&name).await;
        }
    }

    /// The same where a folder cannot be deployed as it is, so that the last good build of it serves.
    async fn quarantine_previous(&self, name: &str) {
        let _guard = self.folder_locks.acquire(name).await;
        let before = self.lock().deployments.get(name).cloned();
        let Some(mut before) = before.filter(|before| before.last_error.is_some()) else { return };
        let Some(restored) = self.restore(name, &mut before.known).await else { return };
        let mut state = self.lock();
        if let Some(deployment) = state.deployments.get_mut(name) {
            deployment.function = Some(restored.function);
        }
        self.publish(&state);
    }

    /// The functions folder, by the name that it was given.
    pub(crate) fn folder(&self) -> &Path {
        self.deployer.folder()
    }

    /// The names of all folders in it.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        self.deployer.names()
    }

    /// Those folders that are to be looked at again by now, and when the next ones are.
    pub(crate) fn take_due(&self, now: Instant) -> (Vec<String>, Option<Instant>) {
        let mut state = self.lock();
        let due = state.due.extract_if(|_, at| *at <= now).map(|(name, _)| name).collect();
        (due, state.due.values().min().copied())
    }

    /// Notes why changes in a folder are not noticed at once, if they are not.
    pub(crate) fn set_unwatched(&self, name: &str, reason: Option<String>) {
        if let Some(deployment) = self.lock().deployments.get_mut(name)
            && deployment.unwatched != reason
        {
            if let Some(reason) = &reason {
                tracing::warn!(
                    function = name,
                    "its folder cannot be watched, rescans alone find changes: {reason}"
                );
            }
            deployment.unwatched = reason;
        }
    }

    /// The folders as they are now, for an operator to see.
    pub(crate) fn deployments(&self) -> Vec<(String, Deployment)> {
        self.lock().deployments.iter().map(|(name, deployment)| (name.clone(), deployment.clone())).collect()
    }

    /// Scans every folder, and the files beside them. Where the functions folder cannot be read, everything serves on.
    ///
    /// # Errors
    /// Where it cannot be read, and nothing is known that was ever deployed from it.
    pub(crate) async fn rescan(self: &Arc<Self>) -> io::Result<()> {
        let is_first = !self.begun.load(Ordering::Acquire);
        let mut names: Vec<String> = self.lock().deployments.keys().cloned().collect();
        if is_first {
            names.extend(self.history.deployed().unwrap_or_else(|error| {
                tracing::error!("the history cannot be read: {error}");
                Vec::new()
            }));
        }
        match self.deployer.names() {
            Ok(found) => names.extend(found),
            Err(error) if names.is_empty() => return Err(error),
            Err(error) => {
                let folder = self.folder().display();
                tracing::error!(
                    "the functions folder {folder} cannot be read, everything serves on: {error}"
                );
            }
        }
        names.sort_unstable();
        names.dedup();
        self.scan(names, if is_first { Look::First } else { Look::Rescan }).await;
        self.begun.store(true, Ordering::Release);
        self.collect().await;
        Ok(())
    }

    /// Scans these folders, in which nothing has changed for a while.
    pub(crate) async fn update(self: &Arc<Self>, names: Vec<String>) {
        self.scan(names, Look::Settled).await;
        self.collect().await;
    }

    /// Scans these folders again, whose time has come.
    pub(crate) async fn look_again(self: &Arc<Self>, names: Vec<String>) {
        self.scan(names, Look::Rescan).await;
    }

    /// Scans these folders and the files beside them, and publishes what has changed. A slow folder holds up no other: what was
    /// found within [`PUBLISH_DELAY`] is published without waiting for the rest.
    async fn scan(self: &Arc<Self>, names: Vec<String>, look: Look) {
        let looks = stream::iter(names)
            .map(|name| Arc::clone(self).look(name, look))
            .buffer_unordered(CONCURRENT_SCANS);
        let mut looks = std::pin::pin!(looks);
        let mut found = Vec::new();
        let mut publish_at = None;
        loop {
            let next = match publish_at {
                Some(at) => timeout_at(at, looks.next()).await,
                None => Ok(looks.next().await),
            };
            match next {
                Ok(Some(None)) => {}
                Ok(Some(Some(change))) => {
                    found.push(change);
                    publish_at.get_or_insert_with(|| Instant::now() + PUBLISH_DELAY);
                }
                Ok(None) => break,
                Err(_) => {
                    self.take_over(&mut found, None);
                    publish_at = None;
                }
            }
        }
        let this = Arc::clone(self);
        let finish = move || {
            let texts = Texts::read(this.deployer.folder(), &this.file_reads);
            this.take_over(&mut found, Some(texts));
        };
        // Fails only where the host is ending.
        let _ = tokio::task::spawn_blocking(finish).await;
    }

    /// Applies changes and publishes them under one lock: the admin listener never shows what is not served yet. The files
    /// are checked after they were read, which is when all folders have been scanned.
    fn take_over(&self, found: &mut Vec<(Change, KeyGuard)>, texts: Option<Texts>) {
        let mut state = self.lock();
        let mut changed = false;
        for (change, _guard) in found.drain(..) {
            changed |= state.apply(change);
        }
        if let Some(texts) = texts {
            changed |= self.take_texts(&mut state, texts);
        }
        if changed || !self.begun.load(Ordering::Acquire) {
            self.publish(&state);
        }
    }

    /// Makes the new state what requests see, from the next one on.
    fn publish(&self, state: &State) {
        let functions =
            state.deployments.values().filter_map(|deployment| deployment.function.clone()).collect();
        let catalog = Arc::new(Catalog::new(functions, state.aliases.in_force(), state.mounts.in_force()));
        self.catalog.store(catalog);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
