//! A library that is up, and its shutdown.
//!
//! A library stays mapped for the life of the process, so that a function which was evicted and is loaded again finds its
//! own statics. It is *up* between `fezz_init` and `fezz_shutdown`. The shutdown follows the last call; if a request loads
//! the function again before the shutdown has begun, it stays up.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fezz_runtime::ffi::{
    Call, HostTable, Keep, Library, OpenError, Reply, ReplyBody, ReplyError, RequestBodies, RequestSource,
    Task,
};
use fezz_runtime::sys::crash_record;
use fezz_runtime::sys::crash_record::Entry;
use tokio::sync::watch;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::threads;
use crate::function::{Function, FunctionKey};

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
    /// Its place in the crash record, which may outlive the function's own.
    entry: Entry,
    /// Counts this library, and then its shutdown, among what the end of the host waits for.
    token: TaskTrackerToken,
}

/// One mapped library, over all of its loads.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Held while `fezz_init` or `fezz_shutdown` runs.
    state: Mutex<State>,
    /// Whether it is up, for those who must not wait for the lock.
    up: watch::Sender<bool>,
    /// A copy of the file, which is there no more; none for the file in the store.
    copy: Option<Arc<Library>>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts loads: a shutdown is only for the latest.
    generation: u64,
    /// Made at the first load, and the same for all: other settings are another library.
    table: Option<&'static HostTable>,
}

impl Mapping {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), up: watch::Sender::new(false), copy: None }
    }

    /// A mapping of its own, with statics of its own.
    pub(super) fn of_copy(copy: Library) -> Self {
        Self { copy: Some(Arc::new(copy)), ..Self::new() }
    }

    /// The library, given its place in the store.
    pub(super) fn open(&self, place: &Path) -> Result<Arc<Library>, OpenError> {
        self.copy.as_ref().map_or_else(|| Library::open(place).map(Arc::new), |copy| Ok(Arc::clone(copy)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is between `fezz_init` and the end of `fezz_shutdown`.
    pub(super) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Waits until `fezz_shutdown` has returned, if it is up.
    pub(super) async fn until_down(&self) {
        // Fails only without a sender, which is here.
        let _ = self.up.subscribe().wait_for(|up| !*up).await;
    }
}

impl LoadedLibrary {
    /// Runs the library's `fezz_init`, unless it is up. Blocks for as long as that takes.
    pub(super) fn load(
        library: Arc<Library>,
        mapping: Arc<Mapping>,
        function: &Function,
        table: impl FnOnce() -> &'static HostTable,
        token: TaskTrackerToken,
    ) -> Result<Self, OpenError> {
        let mut state = mapping.lock();
        if !mapping.is_up() {
            let table = *state.table.get_or_insert_with(table);
            library.init(table)?;
            mapping.up.send_replace(true);
            function.stats.cold_starts.inc();
        }
        state.generation += 1;
        let generation = state.generation;
        drop(state);
        tracing::debug!(function = function.name(), generation, "loaded");
        Ok(Self {
            library,
            mapping,
            generation,
            key: Arc::clone(&function.key),
            evicted: AtomicBool::new(false),
            entry: crash_record::entry(function.name(), function.key.digest),
            token,
        })
    }

    /// Whether this is the library of the function with this very key.
    pub(super) fn is_of(&self, key: &Arc<FunctionKey>) -> bool {
        Arc::ptr_eq(&self.key, key)
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Acquire)
    }

    /// It has left the cache: calls that hold it go on, new ones do not find it.
    pub(super) fn evicted(&self) {
        self.evicted.store(true, Ordering::Release);
    }

    /// How its calls are run.
    pub(crate) fn call_mode(&self) -> CallMode {
        if self.library.is_polled() { CallMode::Polled } else { CallMode::Blocking }
    }

    /// How the function takes request bodies.
    pub(crate) fn request_bodies(&self) -> RequestBodies {
        self.library.request_bodies()
    }

    /// Whether the function may answer with 101.
    pub(crate) fn takes_upgrades(&self) -> bool {
        self.library.takes_upgrades()
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
        let _inside = crash_record::enter(self.entry.number());
        let keep: Keep = Arc::<Self>::clone(self);
        self.library.fetch(call, Some(left)).into_reply(keep, !call.source().upgrade().is_empty())
    }
}

impl Drop for LoadedLibrary {
    fn drop(&mut self) {
        let (library, mapping, generation) =
            (Arc::clone(&self.library), Arc::clone(&self.mapping), self.generation);
        let (key, token, entry) =
            (Arc::clone(&self.key), self.token.clone(), std::mem::take(&mut self.entry));
        // Not here: this may be a thread that must not block.
        let shutdown = move || {
            let _inside = crash_record::enter(entry.number());
            let state = mapping.lock();
            if mapping.is_up() && state.generation == generation {
                library.shutdown();
                mapping.up.send_replace(false);
                tracing::debug!(function = key.name, generation, "shut down");
            }
            drop(token);
        };
        if let Err(error) = threads::start("shutdown", shutdown) {
            tracing::warn!(
                function = self.key.name,
                "the function is not shut down, no thread can be started for it: {error}"
            );
        }
    }
}
