//! Loading functions and shutting them down, never both at once for the same library.
//!
//! A library stays mapped for the life of the process, so that a function which was evicted and is loaded again finds its
//! own statics. It is *up* between `fezz_init` and `fezz_shutdown`. The shutdown follows the last call; if a request loads
//! the function again before the shutdown has begun, it stays up.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fezz_isolation::host::{Plan, Pool, PoolContext, Spec};
use fezz_runtime::ffi::{
    Call, HostTable, Identity, Keep, Library, OpenError, Reply, ReplyBody, ReplyError, RequestSource, Task,
};
use fezz_runtime::sys::{crash_record, restore_dispositions};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::function::{Function, FunctionKey, Stats};

/// Why a function could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the function could not be loaded: {0}")]
    Open(#[from] OpenError),
    #[error("the function could not be loaded: the host is ending")]
    Ending,
}

/// A function that is ready to be called.
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    /// In this process.
    Library(Arc<LoadedLibrary>),
    /// In worker processes.
    Workers(Arc<Pool>),
}

/// How a function's calls are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallMode {
    /// On a thread that may block.
    Blocking,
    /// In place, by polling.
    Polled,
}

/// A library that is up. Calls hold it; the last one to drop it shuts the function down.
#[derive(Debug)]
pub(crate) struct LoadedLibrary {
    library: Arc<Library>,
    mapping: Arc<Mapping>,
    generation: u64,
    key: Arc<FunctionKey>,
    evicted: AtomicBool,
    /// The function's number in the crash record.
    number: u32,
    /// Counts this library, and then its shutdown, among what the end of the host waits for.
    token: TaskTrackerToken,
    runtime: Handle,
}

/// One mapped library, over all of its loads.
#[derive(Debug, Default)]
struct Mapping(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    up: bool,
    /// Counts loads: a shutdown is only for the latest.
    generation: u64,
    /// Made at the first load, and the same for all: other settings are another library.
    table: Option<&'static HostTable>,
}

impl Mapping {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads functions; knows every library that is mapped.
#[derive(Debug)]
pub(crate) struct Loader {
    mappings: Mutex<HashMap<PathBuf, Arc<Mapping>>>,
    /// Tracks what is loaded, and shutdowns.
    tracker: TaskTracker,
    /// Set at the end of the host: nothing more is loaded.
    ending: AtomicBool,
    /// From this many mapped libraries on, each further one is a warning.
    warn_at: usize,
    context: Arc<PoolContext>,
}

impl Loader {
    pub(super) fn new(tracker: TaskTracker, warn_at: usize, context: PoolContext) -> Self {
        let (mappings, ending, context) = (Mutex::default(), AtomicBool::new(false), Arc::new(context));
        Self { mappings, tracker, ending, warn_at, context }
    }

    /// Loads nothing from here on.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    fn token(&self) -> Result<TaskTrackerToken, LoadError> {
        let token = self.tracker.token();
        if self.ending.load(Ordering::Acquire) { Err(LoadError::Ending) } else { Ok(token) }
    }

    /// Loads the function on a thread that may block: constructors and `fezz_init` take their time. An isolated one
    /// is loaded by its workers.
    pub(super) async fn load(self: Arc<Self>, function: Arc<Function>) -> Result<Loaded, LoadError> {
        if let Some(plan) = &function.isolation {
            let pool = Pool::start(spec(&function, plan), Arc::clone(&self.context), self.token()?);
            return Ok(Loaded::Workers(Arc::new(pool)));
        }
        let load = move || self.load_blocking(&function).map(Arc::new);
        let loaded = tokio::task::spawn_blocking(load).await.unwrap_or(Err(LoadError::Ending));
        loaded.map(Loaded::Library)
    }

    fn load_blocking(&self, function: &Arc<Function>) -> Result<LoadedLibrary, LoadError> {
        let token = self.token()?;
        let number = function.number;
        let _inside = crash_record::enter(number);
        let library = Library::open(&function.library)?;
        let mapping = self.mapping(&function.library);
        let mut state = mapping.lock();
        if !state.up {
            let table = *state.table.get_or_insert_with(|| table(function));
            let initialized = library.init(table);
            check_dispositions(function);
            initialized?;
            state.up = true;
            function.stats.cold_starts.inc();
        }
        state.generation += 1;
        let generation = state.generation;
        drop(state);
        tracing::debug!(function = function.name(), generation, "loaded");
        Ok(LoadedLibrary {
            library: Arc::new(library),
            mapping,
            generation,
            key: Arc::clone(&function.key),
            evicted: AtomicBool::new(false),
            number,
            token,
            runtime: Handle::current(),
        })
    }

    /// The number of libraries that this process has mapped; they stay mapped.
    pub(super) fn mapped(&self) -> usize {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn mapping(&self, library: &Path) -> Arc<Mapping> {
        let mut mappings = self.mappings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = mappings.get(library) {
            return Arc::clone(known);
        }
        let mapping = Arc::clone(mappings.entry(library.to_owned()).or_default());
        let mapped = mappings.len();
        drop(mappings);
        if mapped >= self.warn_at {
            tracing::warn!(
                mapped,
                "libraries stay mapped, and about 1,000 end the process: plan a restart of the host"
            );
        }
        mapping
    }
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
        plan: plan.clone(),
        observer: Arc::<Stats>::clone(&function.stats),
    }
}

impl Loaded {
    /// It has left the cache: calls that hold it go on, new ones do not find it.
    pub(super) fn evicted(&self) {
        if let Self::Library(library) = self {
            library.evicted.store(true, Ordering::Release);
        }
    }
}

impl LoadedLibrary {
    /// Whether this is the library of the function with this very key.
    pub(super) fn is_of(&self, key: &Arc<FunctionKey>) -> bool {
        Arc::ptr_eq(&self.key, key)
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Acquire)
    }

    /// How its calls are run.
    pub(crate) fn call_mode(&self) -> CallMode {
        if self.library.is_polled() { CallMode::Polled } else { CallMode::Blocking }
    }

    /// Whether the function reads request bodies as streams.
    pub(crate) fn streams_bodies(&self) -> bool {
        self.library.streams_bodies()
    }

    /// Starts a call that is polled; none if calls have to be made with [`fetch`](Self::fetch).
    pub(crate) fn start<S: RequestSource>(&self, call: Call<S>, left: Duration) -> Option<Task<S>> {
        self.library.start(call, Some(left))
    }

    /// Runs one call on this thread.
    pub(crate) fn fetch<S: RequestSource>(
        self: &Arc<Self>,
        call: &Call<S>,
        left: Duration,
    ) -> Result<Reply<ReplyBody>, ReplyError> {
        let _inside = crash_record::enter(self.number);
        let keep: Keep = Arc::<Self>::clone(self);
        self.library.fetch(call, Some(left)).into_reply(keep)
    }
}

impl Drop for LoadedLibrary {
    fn drop(&mut self) {
        let (library, mapping, generation) =
            (Arc::clone(&self.library), Arc::clone(&self.mapping), self.generation);
        let (key, number, token) = (Arc::clone(&self.key), self.number, self.token.clone());
        // Not here: this may be a thread that must not block.
        self.runtime.spawn_blocking(move || {
            let _inside = crash_record::enter(number);
            let mut state = mapping.lock();
            if state.up && state.generation == generation {
                library.shutdown();
                state.up = false;
                tracing::debug!(function = key.name, generation, "shut down");
            }
            drop(token);
        });
    }
}
