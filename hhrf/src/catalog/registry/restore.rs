//! What serves where a folder cannot be deployed as it is: the last record of its history.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::Registry;
use crate::catalog::deploy::{Contents, DeployError, Known};
use crate::function::Function;

/// A function of the history, and when it was deployed.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) function: Arc<Function>,
    pub(super) deployed_at: Option<SystemTime>,
}

impl Registry {
    /// Deploys what was served last under this name; none where there was nothing, or where it cannot be any more.
    pub(super) async fn restore(&self, name: &str, known: &mut Known) -> Option<Restored> {
        let (build, deployed_at) = match self.history.last_good(name) {
            Ok(last) => last?,
            Err(error) => {
                tracing::error!(function = name, "its history cannot be read: {error}");
                return None;
            }
        };
        let secrets = self.last_good.secrets(name).map_err(DeployError::Store);
        let restored = match secrets {
            Ok(secrets) => self.deployer.restore(name, &build, secrets, known).await,
            Err(error) => Err(error),
        };
        match restored {
            Ok(function) => {
                let function = Arc::new(function);
                self.hold(&function);
                Some(Restored { function, deployed_at })
            }
            Err(error) => {
                tracing::error!(function = name, "what was deployed last cannot be served again: {error}");
                None
            }
        }
    }

    /// What was served last, by another process, if it is another build than `new`.
    pub(super) async fn predecessor(
        &self,
        name: &str,
        contents: &Contents,
        known: &mut Known,
    ) -> Option<Arc<Function>> {
        if self.begun.load(Ordering::Acquire) {
            return None;
        }
        let (build, _) = self.history.last_good(name).ok()??;
        if build.is_of(contents.files()) {
            return None;
        }
        Some(self.restore(name, known).await?.function)
    }

    /// Has the function outlive this process; whether that worked.
    pub(super) fn record(&self, function: &Function, contents: &Contents) -> bool {
        let name = function.name();
        let kept = self
            .last_good
            .keep_secrets(name, &contents.secrets)
            .and_then(|()| self.history.serving(name, contents.files()));
        match kept {
            Ok(is_new) => {
                if is_new {
                    self.collect_soon();
                }
                true
            }
            Err(error) => {
                tracing::warn!(function = name, "its history cannot be written: {error}");
                false
            }
        }
    }

    /// Has the removal of a function outlive this process.
    pub(super) fn record_removal(&self, name: &str) {
        let removed = self
            .history
            .undeployed(name)
            .and_then(|()| self.last_good.keep_secrets(name, &std::collections::BTreeMap::new()));
        if let Err(error) = removed {
            tracing::warn!(function = name, "its history cannot be written: {error}");
        }
        self.collect_soon();
    }
}
