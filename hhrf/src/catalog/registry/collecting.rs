//! When what nothing refers to is collected, and what this process still uses.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use super::Registry;
use crate::function::Function;

impl Registry {
    /// Notes that somebody may hold this function from now on.
    pub(super) fn hold(&self, function: &Arc<Function>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|function| function.strong_count() > 0);
        held.push(Arc::downgrade(function));
    }

    /// The libraries and assets of all functions that somebody holds.
    fn in_use(&self) -> HashSet<PathBuf> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let functions = held.iter().filter_map(Weak::upgrade);
        let paths = functions.flat_map(|function| {
            let assets = function.assets.as_ref().map(|assets| assets.folder.clone());
            [Some(function.library.clone()), assets]
        });
        paths.flatten().collect()
    }

    /// Has the next scan end with a collection.
    pub(super) fn collect_soon(&self) {
        self.has_garbage.store(true, Ordering::Release);
    }

    /// Collects, if there may be anything to collect, and nothing is being deployed.
    pub(super) async fn collect(self: &Arc<Self>) {
        if !self.has_garbage.load(Ordering::Acquire) {
            return;
        }
        let this = Arc::clone(self);
        // A host that ends does without.
        let _ = tokio::task::spawn_blocking(move || this.collect_now()).await;
    }

    fn collect_now(&self) {
        // What is being deployed is about to be recorded; the next scan collects.
        let Ok(_alone) = self.deploying.try_write() else { return };
        self.has_garbage.store(false, Ordering::Release);
        let aliases = self.aliases().content;
        let aliased = |name: &str| {
            aliases
                .iter()
                .any(|(id, _, shares)| shares.iter().any(|share| format!("{id}@{}", share.version) == name))
        };
        match self.collector.collect(&self.in_use(), aliased) {
            Ok(Some(collected)) => tracing::debug!(?collected, "the store was cleared of what is not needed"),
            // Another process uses the store: the next scan tries again.
            Ok(None) => self.collect_soon(),
            Err(error) => tracing::warn!("the store cannot be cleared of what is not needed: {error}"),
        }
    }
}
