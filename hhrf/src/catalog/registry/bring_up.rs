//! Bringing a new build up: it is loaded before it takes the place of another one, and recorded when it serves.

use std::sync::Arc;

use tokio::time::Instant;

use super::Registry;
use super::examine::Change;
use crate::catalog::deploy::DeployError;

impl Registry {
    /// Loads a new build that is to replace another one, and records it. If it cannot be loaded, its deployment has
    /// failed.
    pub(super) async fn bring_up(self: &Arc<Self>, change: &mut Change) {
        let Change::Looked { name, fingerprint, known, took, result, contents, .. } = change else { return };
        let (Ok(new), Some(contents)) = (result.as_ref(), contents.take()) else { return };
        let new = Arc::clone(new);
        let mut before = self.lock().deployments.get(name).cloned().unwrap_or_default();
        let old = match &before.function {
            Some(old) => Some(Arc::clone(old)),
            None => self.predecessor(name, &contents, known).await,
        };
        if let Some(old) = old.filter(|old| new.needs_activation(old)) {
            let begin = Instant::now();
            let activated = self.loader.activate(&new, &old).await;
            took.whole += begin.elapsed();
            if let Err(error) = activated {
                before.known = std::mem::take(known);
                let (name, fingerprint) = (std::mem::take(name), fingerprint.take());
                *change = self.failed(name, before, fingerprint, *took, DeployError::from(error)).await;
                return;
            }
        }
        let this = Arc::clone(self);
        let record = move || {
            // Nothing is collected meanwhile that is about to be recorded.
            let _deploying = this.deploying.blocking_read();
            this.record(&new, &contents)
        };
        if !tokio::task::spawn_blocking(record).await.unwrap_or(false) {
            // The next scan deploys it again, and records it then.
            *fingerprint = None;
        }
    }
}
