//! Loaded functions by their key; who is not called for a while leaves.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use moka::future::Cache as Moka;
use tokio::sync::mpsc;

use super::load::{LoadError, Loader, Target};
use crate::catalog::{Function, FunctionKey};
use crate::pool::{Environment, PoolStatus};

/// A cache with a time to idle, in which a function that many requests miss at once is loaded once.
#[derive(Clone, Debug)]
pub(crate) struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    loaded: Moka<Arc<FunctionKey>, Target, BuildHasherDefault<DigestHasher>>,
    loader: Arc<Loader>,
    /// How long functions may go by what the cache said last.
    remember: Duration,
}

/// The part of the idle time by which a function's may be shorter, since the cache is not asked for each call.
const REMEMBER: u32 = 64;

/// Takes the part of a digest that a key gives it for a hash: there is none better. moka mixes something in where it
/// looks after loads.
#[derive(Clone, Copy, Debug, Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(17) ^ u64::from_ne_bytes(word);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Tells when every function has been shut down; see [`Cache::start`].
#[derive(Debug)]
pub(crate) struct AllShutDown(mpsc::Receiver<()>);

impl Cache {
    /// Functions leave after `idle` without a call. moka has no thread of its own, so that somebody has to sweep: a
    /// task does, each `sweep`.
    pub(crate) fn start(
        idle: Duration,
        sweep: Duration,
        warn_at: usize,
        environment: Environment,
    ) -> (Self, AllShutDown) {
        let loaded = Moka::builder()
            .time_to_idle(idle)
            .eviction_listener(|_, target: Target, _| target.leave())
            .build_with_hasher(BuildHasherDefault::default());
        let (alive, all_shut_down) = mpsc::channel(1);
        let swept = loaded.clone();
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(sweep);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                swept.run_pending_tasks().await;
            }
        });
        let loader = Arc::new(Loader::new(alive, warn_at, environment));
        (Self(Arc::new(Inner { loaded, loader, remember: idle / REMEMBER })), AllShutDown(all_shut_down))
    }

    /// The function, where the cache has it at hand, which is without waiting.
    pub(crate) fn at_hand(&self, function: &Function, now: Instant) -> Option<Target> {
        if let Some(loaded) = function.slot.get(now, self.0.remember) {
            return Some(Target::Library(loaded));
        }
        let target = self.0.loaded.get(&function.key).now_or_never().flatten()?;
        if let Target::Library(loaded) = &target {
            function.slot.set(loaded, now);
        }
        Some(target)
    }

    /// The function, from the cache or from its library.
    pub(crate) async fn get(&self, function: &Arc<Function>) -> Result<Target, Arc<LoadError>> {
        let load = Arc::clone(&self.0.loader).load(Arc::clone(function));
        self.0.loaded.try_get_with(Arc::clone(&function.key), load).await
    }

    /// Drops one function; it is shut down when its last call has ended.
    pub(crate) async fn evict(&self, key: &Arc<FunctionKey>) {
        self.0.loaded.invalidate(key).await;
        self.0.loaded.run_pending_tasks().await;
    }

    /// Whether a function is loaded.
    pub(crate) fn holds(&self, key: &Arc<FunctionKey>) -> bool {
        self.0.loaded.contains_key(key)
    }

    /// The workers of a function, where it is isolated and has any.
    pub(crate) fn workers(&self, key: &Arc<FunctionKey>) -> Option<PoolStatus> {
        // Not `get`, which would count as a use.
        let found = self.0.loaded.iter().find(|(found, _)| **found == *key);
        match found {
            Some((_, Target::Workers(pool))) => Some(pool.status()),
            _ => None,
        }
    }

    /// How many libraries this process has ever mapped.
    pub(crate) fn mapped(&self) -> usize {
        self.0.loader.mapped()
    }

    /// Drops every loaded function, each of which is shut down when its last call has ended, and loads no more.
    pub(crate) async fn end(&self) {
        self.0.loader.end();
        self.0.loaded.invalidate_all();
        self.0.loaded.run_pending_tasks().await;
    }
}

impl AllShutDown {
    /// Waits until no function is loaded, or about to be shut down, any more.
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent: the channel closes with the last sender.
        let _ = self.0.recv().await;
    }
}
