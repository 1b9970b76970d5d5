//! Loading functions: opening a library and running its `fezz_init`, or starting a pool of workers.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fezz_isolation::host::{Plan, Pool, PoolContext, Spec};
use fezz_runtime::ffi::{HostTable, Identity, Library, OpenError};
use fezz_runtime::sys::{crash_record, restore_dispositions};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::error::LoadFailure;
use super::library::{LoadedLibrary, Mapping};
use super::private_libraries::PrivateLibraries;
use super::threads::on_load_thread;
use super::wear::Wear;
use crate::function::{Function, Stats};

/// A function that is ready to be called.
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    /// In this process.
    Library(Arc<LoadedLibrary>),
    /// In worker processes.
    Workers(Arc<Pool>),
}

impl Loaded {
    /// It has left the cache: calls that hold it go on, new ones do not find it.
    pub(super) fn evicted(&self) {
        if let Self::Library(library) = self {
            library.evicted();
        }
    }
}

/// Loads functions; knows every library that is mapped.
#[derive(Debug)]
pub(super) struct Loader {
    mappings: Mutex<HashMap<PathBuf, Arc<Mapping>>>,
    private_libraries: PrivateLibraries,
    /// Tracks the workers of each isolated function.
    pools: Mutex<HashMap<PathBuf, TaskTracker>>,
    /// Tracks what is loaded, and shutdowns.
    tracker: TaskTracker,
    /// The number of copies of libraries that were made.
    copies: AtomicU64,
    /// Set at the end of the host: nothing more is loaded.
    ending: AtomicBool,
    wear: Wear,
    /// Bounds the loads that make progress, and so their threads.
    places: Semaphore,
    context: Arc<PoolContext>,
}

/// Loads at once: the dynamic loader has one lock, and most of the rest is waiting.
const PLACES: usize = 16;
/// A load that takes longer than this leaves its place to another: it may never end.
const HOLDS_PLACE: Duration = Duration::from_millis(500);

impl Loader {
    pub(super) fn new(tracker: TaskTracker, wear: Wear, context: PoolContext) -> Self {
        let (ending, context) = (AtomicBool::new(false), Arc::new(context));
        let (mappings, pools, places) = (Mutex::default(), Mutex::default(), Semaphore::new(PLACES));
        let (copies, private_libraries) = (AtomicU64::new(0), PrivateLibraries::default());
        Self { mappings, private_libraries, pools, tracker, copies, ending, wear, places, context }
    }

    /// Loads nothing from here on.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub(super) const fn wear(&self) -> &Wear {
        &self.wear
    }

    fn token(&self) -> Result<TaskTrackerToken, LoadFailure> {
        let token = self.tracker.token();
        if self.is_ending() { Err(LoadFailure::Ending) } else { Ok(token) }
    }

    /// Loads the function, on a thread for that: constructors and `fezz_init` may never return. An isolated one is loaded by
    /// its workers.
    pub(super) async fn load(self: &Arc<Self>, function: &Arc<Function>) -> Result<Loaded, LoadFailure> {
        if let Some(plan) = &function.isolation {
            return Ok(Loaded::Workers(Arc::new(self.start_pool(function, plan)?)));
        }
        let (this, function) = (Arc::clone(self), Arc::clone(function));
        let place = self.places.acquire().await.map_err(|_| LoadFailure::Ending)?;
        let (done, mut wait) = oneshot::channel();
        // Without a receiver the host is ending.
        let load = move || _ = done.send(this.load_blocking(&function));
        on_load_thread(load).map_err(LoadFailure::Thread)?;
        let loaded = match timeout(HOLDS_PLACE, &mut wait).await {
            Ok(loaded) => loaded,
            Err(_) => {
                drop(place);
                wait.await
            }
        };
        Ok(Loaded::Library(Arc::new(loaded.unwrap_or(Err(LoadFailure::Lost))?)))
    }

    fn load_blocking(&self, function: &Function) -> Result<LoadedLibrary, LoadFailure> {
        let token = self.token()?;
        self.private_libraries.claim(function)?;
        let _inside = crash_record::enter(function.number);
        let mut loaded = load(function, self.mapping(&function.library), token);
        if loaded.as_ref().is_err_and(OpenError::is_stale) {
            loaded = load(function, self.copy(&function.library)?, self.token()?);
        }
        check_dispositions(function);
        Ok(loaded?)
    }

    /// Maps a copy of a library, whose statics are as new, and has it stand for the library from here on.
    fn copy(&self, library: &Path) -> Result<Arc<Mapping>, LoadFailure> {
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let place = library.with_extension(format!("{}-{number}", std::process::id()));
        fs::copy(library, &place).map_err(LoadFailure::Copy)?;
        let opened = Library::open(&place);
        // Mapped, it needs its name no more.
        fs::remove_file(&place).map_err(LoadFailure::Copy)?;
        let mapping = Arc::new(Mapping::of_copy(opened?));
        let mut mappings = lock(&self.mappings);
        let stale = mappings.insert(library.to_owned(), Arc::clone(&mapping));
        // It stays mapped, and counts.
        mappings.extend(stale.map(|stale| (place, stale)));
        Ok(mapping)
    }

    fn start_pool(&self, function: &Function, plan: &Plan) -> Result<Pool, LoadFailure> {
        let token = self.token()?;
        let workers = TaskTracker::new();
        let pool = Pool::start(spec(function, plan), Arc::clone(&self.context), workers.token());
        workers.close();
        let mut pools = lock(&self.pools);
        pools.retain(|_, workers| !workers.is_empty());
        pools.insert(function.library.clone(), workers.clone());
        drop(pools);
        tokio::spawn(async move {
            workers.wait().await;
            drop(token);
        });
        Ok(pool)
    }

    /// Waits until nothing of this build runs any more: its `fezz_shutdown` has returned, or its workers have ended.
    pub(super) async fn until_down(&self, function: &Function) {
        if function.isolation.is_some() {
            let workers = lock(&self.pools).get(&function.library).cloned();
            if let Some(workers) = workers {
                workers.wait().await;
            }
            return;
        }
        let mapping = lock(&self.mappings).get(&function.library).cloned();
        if let Some(mapping) = mapping {
            mapping.until_down().await;
        }
    }

    /// The number of libraries that this process has mapped; they stay mapped.
    pub(super) fn mapped(&self) -> usize {
        lock(&self.mappings).len()
    }

    /// Whether libraries are mapped that are not up: a fresh process would have what they hold.
    pub(super) fn has_old_mappings(&self) -> bool {
        lock(&self.mappings).values().any(|mapping| !mapping.is_up())
    }

    fn mapping(&self, library: &Path) -> Arc<Mapping> {
        let mut mappings = lock(&self.mappings);
        if let Some(known) = mappings.get(library) {
            return Arc::clone(known);
        }
        let mapping = Arc::new(Mapping::new());
        mappings.insert(library.to_owned(), Arc::clone(&mapping));
        let old = mappings.values().filter(|mapping| !mapping.is_up()).count();
        let mapped = mappings.len();
        drop(mappings);
        self.wear.mapped(mapped, old);
        mapping
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(
    function: &Function,
    mapping: Arc<Mapping>,
    token: TaskTrackerToken,
) -> Result<LoadedLibrary, OpenError> {
    let library = mapping.open(&function.library)?;
    LoadedLibrary::load(library, mapping, function, || table(function), token)
}

/// Puts back the host's signal handlers, if the library has replaced them.
fn check_dispositions(function: &Function) {
    let replaced = restore_dispositions();
    if !replaced.is_empty() {
        let signals = replaced.join(" ");
        tracing::warn!(
            function = function.name(),
            signals,
            "the function has taken over signals that are the host's; the host's handlers are back in place"
        );
    }
}

fn table(function: &Function) -> &'static HostTable {
    HostTable::leak(Identity {
        id: function.key.id.clone(),
        version: function.key.version.clone(),
        data_dir: function.data_dir.clone(),
        variables: function.variables.clone(),
        assets_dir: function.assets.as_ref().map(|assets| assets.folder.clone()),
    })
}

fn spec(function: &Function, plan: &Plan) -> Spec {
    Spec {
        name: function.name().to_owned(),
        id: function.key.id.clone(),
        version: function.key.version.clone(),
        digest: function.key.digest,
        library: function.library.clone(),
        data_dir: function.data_dir.clone(),
        variables: function.variables.clone(),
        assets_dir: function.assets.as_ref().map(|assets| assets.folder.clone()),
        plan: plan.clone(),
        observer: Arc::<Stats>::clone(&function.stats),
    }
}
