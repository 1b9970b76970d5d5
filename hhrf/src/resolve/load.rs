//! Loading a function and shutting it down, in turn and never both at once.
//!
//! A library stays mapped for good, so that a function which was evicted and is loaded again meets its own statics. It
//! is *up* between `fezz_init` and `fezz_shutdown`. The shutdown follows the last call; when a request loads the
//! function again before the shutdown has begun, the function simply stays up.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::catalog::Function;
use crate::ffi::{
    Call, HostTable, Identity, Keep, Library, OpenError, Reply, ReplyBody, ReplyError, Task, inflight,
};
use crate::invoke::Way;
use crate::pool::{Environment, Pool, Spec};

/// Why a function could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the function could not be loaded: {0}")]
    Open(#[from] OpenError),
    #[error("the function could not be loaded: the host is ending")]
    Ending,
}

/// Where a function is called.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// In this process.
    Library(Arc<Loaded>),
    /// In processes of its own.
    Workers(Arc<Pool>),
}

impl Target {
    /// Called when it leaves the cache: calls that have it keep it, and nobody else takes it.
    pub(super) fn leave(&self) {
        if let Self::Library(loaded) = self {
            loaded.left.store(true, Ordering::Release);
        }
    }
}

/// A function that can be called. Calls hold it; the last one to drop it shuts the function down.
#[derive(Debug)]
pub(crate) struct Loaded {
    library: Arc<Library>,
    mapping: Arc<Mapping>,
    generation: u64,
    name: String,
    /// By which the supervisor knows it.
    number: u32,
    /// Whether the cache has let go of it.
    left: AtomicBool,
    alive: mpsc::Sender<()>,
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
    /// Cloned by all that is loaded: closed when nothing is, after [`end`](Self::end).
    alive: Mutex<Option<mpsc::Sender<()>>>,
    /// From how many mapped libraries on it warns.
    warn_at: usize,
    /// What pools are made with.
    environment: Arc<Environment>,
}

impl Loader {
    pub(super) fn new(alive: mpsc::Sender<()>, warn_at: usize, environment: Environment) -> Self {
        let environment = Arc::new(environment);
        Self { mappings: Mutex::default(), alive: Mutex::new(Some(alive)), warn_at, environment }
    }

    /// Loads nothing from here on.
    pub(super) fn end(&self) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn alive(&self) -> Result<mpsc::Sender<()>, LoadError> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(LoadError::Ending)
    }

    /// Loads the function on a thread that may block: constructors and `fezz_init` take their time. An isolated one
    /// is loaded by its workers.
    pub(super) async fn load(self: Arc<Self>, function: Arc<Function>) -> Result<Target, LoadError> {
        if let Some(plan) = &function.isolation {
            let pool = Pool::start(Spec::of(&function, plan), Arc::clone(&self.environment), self.alive()?);
            return Ok(Target::Workers(Arc::new(pool)));
        }
        let load = move || self.load_blocking(&function).map(Arc::new);
        let loaded = tokio::task::spawn_blocking(load).await.unwrap_or(Err(LoadError::Ending));
        loaded.map(Target::Library)
    }

    fn load_blocking(&self, function: &Arc<Function>) -> Result<Loaded, LoadError> {
        let alive = self.alive()?;
        let number = function.number;
        let _inside = inflight::enter(number);
        let library = Library::open(&function.library)?;
        let mapping = self.mapping(&function.library);
        let mut state = mapping.lock();
        if !state.up {
            let table = *state.table.get_or_insert_with(|| table(function));
            library.init(table)?;
            state.up = true;
            function.stats.cold_starts.inc();
        }
        state.generation += 1;
        let generation = state.generation;
        drop(state);
        tracing::debug!(function = function.name(), generation, "loaded");
        Ok(Loaded {
            library: Arc::new(library),
            mapping,
            generation,
            name: function.name().to_owned(),
            number,
            left: AtomicBool::new(false),
            alive,
            runtime: Handle::current(),
        })
    }

    /// How many libraries this process has mapped; they all still are.
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

fn table(function: &Function) -> &'static HostTable {
    HostTable::leak(Identity {
        id: function.key.id.clone(),
        version: function.key.version.clone(),
        data_dir: function.data_dir.clone(),
        variables: function.variables.clone(),
    })
}

impl Loaded {
    /// Whether the cache has let go of it.
    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// How its calls are run.
    pub(crate) fn way(&self) -> Way {
        if self.library.is_polled() { Way::Polled } else { Way::Blocking }
    }

    /// Whether the function reads request bodies as streams.
    pub(crate) fn streams_bodies(&self) -> bool {
        self.library.streams_bodies()
    }

    /// Starts a call that is polled; none where calls are made with [`fetch`](Self::fetch).
    pub(crate) fn start(&self, call: Call, left: Duration) -> Option<Task<Call>> {
        self.library.start(call, left)
    }

    /// Runs one call on this thread.
    pub(crate) fn fetch(self: &Arc<Self>, call: &Call) -> Result<Reply<ReplyBody>, ReplyError> {
        let _inside = inflight::enter(self.number);
        let keep: Keep = Arc::<Self>::clone(self);
        self.library.fetch(call).into_reply(keep)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let (library, mapping, generation) =
            (Arc::clone(&self.library), Arc::clone(&self.mapping), self.generation);
        let (name, number, alive) = (std::mem::take(&mut self.name), self.number, self.alive.clone());
        // Not here: this may be a thread that must not block.
        self.runtime.spawn_blocking(move || {
            let _inside = inflight::enter(number);
            let mut state = mapping.lock();
            if state.up && state.generation == generation {
                library.shutdown();
                state.up = false;
                tracing::debug!(function = name, generation, "shut down");
            }
            drop(alive);
        });
    }
}
