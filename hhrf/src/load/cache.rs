//! The cache of loaded functions, by their key, with time-to-idle eviction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fezz_isolation::host::{PoolContext, PoolStatus};
use futures_util::FutureExt;
use moka::future::Cache as Moka;
use tokio_util::task::TaskTracker;

use super::loader::{LoadError, Loaded, Loader};
use super::recent::Recent;
use crate::function::{Function, FunctionKey};

/// How functions are cached.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// A function leaves after this long without a call.
    pub(crate) idle: Duration,
    /// How often the cache is swept: moka has no thread of its own.
    pub(crate) sweep: Duration,
    /// From this many mapped libraries on, each further one is a warning.
    pub(crate) libraries_warning: usize,
}

/// A cache in which a function that many requests miss at once is loaded once.
#[derive(Clone, Debug)]
pub(crate) struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    loaded: Moka<Arc<FunctionKey>, Loaded>,
    recent: Recent,
    loader: Arc<Loader>,
}

/// moka is asked for a function in use after this part of the idle time, by which the function may leave early.
const RECENT_DIVISOR: u32 = 64;

/// Tells when every function has been shut down.
#[derive(Debug)]
pub(crate) struct AllShutDown(TaskTracker);

impl Cache {
    /// An empty cache, and a task that sweeps it. Must be called within a runtime.
    pub(crate) fn start(options: &Options, context: PoolContext) -> (Self, AllShutDown) {
        let loaded = Moka::builder()
            .time_to_idle(options.idle)
            .eviction_listener(|_, loaded: Loaded, _| loaded.evicted())
            .build();
        tokio::spawn(sweep(loaded.clone(), options.sweep));
        let tracker = TaskTracker::new();
        let loader = Arc::new(Loader::new(tracker.clone(), options.libraries_warning, context));
        let recent = Recent::new(options.idle / RECENT_DIVISOR);
        (Self(Arc::new(Inner { loaded, recent, loader })), AllShutDown(tracker))
    }

    /// The function if it is cached, without waiting.
    pub(crate) fn cached(&self, function: &Function, now: Instant) -> Option<Loaded> {
        if let Some(library) = self.0.recent.get(&function.key, now) {
            return Some(Loaded::Library(library));
        }
        let loaded = self.0.loaded.get(&function.key).now_or_never().flatten()?;
        if let Loaded::Library(library) = &loaded {
            self.0.recent.set(&function.key, library, now);
        }
        Some(loaded)
    }

    /// The function, from the cache or from its library.
    pub(crate) async fn get(&self, function: &Arc<Function>) -> Result<Loaded, Arc<LoadError>> {
        let load = Arc::clone(&self.0.loader).load(Arc::clone(function));
        self.0.loaded.try_get_with(Arc::clone(&function.key), load).await
    }

    /// Evicts one function. It is shut down when its last call has ended.
    pub(crate) async fn evict(&self, key: &Arc<FunctionKey>) {
        self.0.loaded.invalidate(key).await;
        self.0.loaded.run_pending_tasks().await;
    }

    /// Whether a function is loaded.
    pub(crate) fn holds(&self, key: &Arc<FunctionKey>) -> bool {
        self.0.loaded.contains_key(key)
    }

    /// The status of an isolated function's pool, if it is loaded.
    pub(crate) fn workers(&self, key: &Arc<FunctionKey>) -> Option<PoolStatus> {
        // Not `get`, which would count as a use.
        let found = self.0.loaded.iter().find(|(found, _)| **found == *key);
        match found {
            Some((_, Loaded::Workers(pool))) => Some(pool.status()),
            _ => None,
        }
    }

    /// The number of libraries that this process has mapped; they stay mapped.
    pub(crate) fn mapped(&self) -> usize {
        self.0.loader.mapped()
    }

    /// Evicts every function and loads no more. Each is shut down when its last call has ended.
    pub(crate) async fn end(&self) {
        self.0.loader.end();
        self.0.loaded.invalidate_all();
        self.0.loaded.run_pending_tasks().await;
    }
}

impl AllShutDown {
    /// Waits until no function is loaded or being shut down.
    pub(crate) async fn wait(self) {
        self.0.close();
        self.0.wait().await;
    }
}

async fn sweep(loaded: Moka<Arc<FunctionKey>, Loaded>, interval: Duration) {
    let mut interval = tokio::time::interval(interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        loaded.run_pending_tasks().await;
    }
}
