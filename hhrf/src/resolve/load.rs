//! Loading a function and shutting it down, in turn and never both at once.
//!
//! A library stays mapped for good, so that a function which was evicted and is loaded again meets its own statics. It
//! is *up* between `fezz_init` and `fezz_shutdown`. The shutdown follows the last call; when a request loads the
//! function again before the shutdown has begun, the function simply stays up.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::catalog::Function;
use crate::ffi::{Call, HostTable, Library, OpenError, Reply, ReplyError};

/// Why a function could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the function could not be loaded: {0}")]
    Open(#[from] OpenError),
    #[error("the function could not be loaded: the host is ending")]
    Ending,
}

/// A function that can be called. Calls hold it; the last one to drop it shuts the function down.
#[derive(Debug)]
pub(crate) struct Loaded {
    library: Arc<Library>,
    mapping: Arc<Mapping>,
    generation: u64,
    name: String,
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
    /// Held, cloned, by all that is loaded: closed when nothing is.
    alive: mpsc::Sender<()>,
}

impl Loader {
    pub(super) fn new(alive: mpsc::Sender<()>) -> Self {
        Self { mappings: Mutex::default(), alive }
    }

    /// Loads the function on a thread that may block: constructors and `fezz_init` take their time.
    pub(super) async fn load(self: Arc<Self>, function: Arc<Function>) -> Result<Arc<Loaded>, LoadError> {
        let load = move || self.load_blocking(&function).map(Arc::new);
        tokio::task::spawn_blocking(load).await.unwrap_or(Err(LoadError::Ending))
    }

    fn load_blocking(&self, function: &Arc<Function>) -> Result<Loaded, LoadError> {
        let library = Library::open(&function.library)?;
        let mapping = self.mapping(&function.library);
        let mut state = mapping.lock();
        if !state.up {
            library.init(HostTable::leak(function))?;
            state.up = true;
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
            alive: self.alive.clone(),
            runtime: Handle::current(),
        })
    }

    fn mapping(&self, library: &Path) -> Arc<Mapping> {
        let mut mappings = self.mappings.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(mappings.entry(library.to_owned()).or_default())
    }
}

impl Loaded {
    /// Runs one call on this thread.
    pub(crate) fn fetch(self: &Arc<Self>, call: &Call) -> Result<Reply, ReplyError> {
        self.library.fetch(call).into_reply(self)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let (library, mapping, generation) =
            (Arc::clone(&self.library), Arc::clone(&self.mapping), self.generation);
        let (name, alive) = (std::mem::take(&mut self.name), self.alive.clone());
        // Not here: this may be a thread that must not block.
        self.runtime.spawn_blocking(move || {
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
