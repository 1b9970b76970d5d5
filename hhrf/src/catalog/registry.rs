//! What is deployed in each folder, what failed there last, and the catalog that follows from it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use fezz_manifest::Aliases;
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::aliases::AliasFile;
use super::deploy::{self, DeployError, Deployer, Known};
use super::fingerprint::Fingerprint;
use super::retire::Replaced;
use super::{Catalog, Function};
use crate::metrics::Stats;

/// One folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deployment {
    /// What serves: the last good state.
    pub(crate) function: Option<Arc<Function>>,
    pub(crate) deployed_at: Option<SystemTime>,
    /// Why the folder's present state does not serve, if it does not.
    pub(crate) last_error: Option<LastError>,
    fingerprint: Option<Fingerprint>,
    known: Known,
}

/// A failure, and when it was seen.
#[derive(Clone, Debug)]
pub(crate) struct LastError {
    pub(crate) at: SystemTime,
    pub(crate) message: String,
}

/// All folders.
#[derive(Debug)]
pub(crate) struct Registry {
    deployer: Deployer,
    catalog: Arc<ArcSwap<Catalog>>,
    state: Mutex<State>,
    replaced: mpsc::UnboundedSender<Replaced>,
}

#[derive(Debug, Default)]
struct State {
    deployments: BTreeMap<String, Deployment>,
    aliases: AliasFile,
}

impl Registry {
    /// Nothing is deployed yet. What a new state replaces goes to `replaced`, to be retired.
    pub(crate) fn new(
        deployer: Deployer,
        catalog: Arc<ArcSwap<Catalog>>,
        replaced: mpsc::UnboundedSender<Replaced>,
    ) -> Self {
        Self { deployer, catalog, state: Mutex::default(), replaced }
    }

    pub(crate) const fn deployer(&self) -> &Deployer {
        &self.deployer
    }

    /// The folders as they are now, for an operator to see.
    pub(crate) fn deployments(&self) -> Vec<(String, Deployment)> {
        self.lock().deployments.iter().map(|(name, deployment)| (name.clone(), deployment.clone())).collect()
    }

    /// The aliases that are in force, and why `aliases.json` as it is now is not, if it is not.
    pub(crate) fn aliases(&self) -> (Aliases, Option<String>) {
        let state = self.lock();
        (state.aliases.in_force().clone(), state.aliases.last_error().map(str::to_owned))
    }

    /// Looks at every folder, and at the aliases.
    ///
    /// # Errors
    /// Where the functions folder cannot be read; nothing has changed then.
    pub(crate) async fn rescan(self: &Arc<Self>) -> io::Result<()> {
        let mut names = self.deployer.names()?;
        names.extend(self.lock().deployments.keys().cloned());
        names.sort_unstable();
        names.dedup();
        self.update(names).await;
        Ok(())
    }

    /// Looks at these folders, and at the aliases, and publishes what has changed.
    pub(crate) async fn update(self: &Arc<Self>, names: Vec<String>) {
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let changes: Vec<_> = stream::iter(names)
            .map(|name| Arc::clone(self).examine_apart(name))
            .buffered(at_once)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let this = Arc::clone(self);
        let aliases = tokio::task::spawn_blocking(move || AliasFile::read(this.deployer.folder())).await;
        let mut state = self.lock();
        let mut changed = false;
        for change in changes {
            changed |= state.apply(change);
        }
        let read = aliases.is_ok_and(|text| state.aliases.take(text));
        // Also when only functions came: a split may have been waiting for one of them.
        if (read || changed) && state.check_aliases() {
            changed = true;
        }
        if changed {
            self.publish(&state);
        }
    }

    /// As [`examine`](Self::examine), on a thread that may block: libraries are read, hashed and written.
    async fn examine_apart(self: Arc<Self>, name: String) -> Option<Change> {
        let runtime = Handle::current();
        // Fails only where the host is ending.
        tokio::task::spawn_blocking(move || runtime.block_on(self.examine(name))).await.ok().flatten()
    }

    /// What has become of one folder; none where nothing has.
    async fn examine(&self, name: String) -> Option<Change> {
        let before = self.lock().deployments.get(&name).cloned();
        let Some(fingerprint) = self.deployer.fingerprint(&name) else {
            return before.map(|_| Change::Gone { name });
        };
        let before = before.unwrap_or_default();
        if before.fingerprint.as_ref().is_some_and(|earlier| fingerprint.is_unchanged_since(earlier)) {
            return None;
        }
        let mut known = before.known;
        let result = self.deployer.deploy(&name, &mut known).await;
        let serving = before.function.as_ref().map(|function| function.key.digest);
        // Said once for each state of the folder.
        let is_new = before.fingerprint.is_none_or(|earlier| !fingerprint.is_alike(&earlier));
        if let Err(error) = &result
            && (is_new || before.last_error.is_none())
        {
            deploy::report(self.deployer.folder(), &name, error, serving);
        }
        Some(Change::Looked { name, fingerprint, known, result: Box::new(result) })
    }

    /// Makes the new state what requests see, from the next one on.
    fn publish(&self, state: &State) {
        let functions =
            state.deployments.values().filter_map(|deployment| deployment.function.clone()).collect();
        let catalog = Arc::new(Catalog::new(functions, state.aliases.in_force()));
        let before = self.catalog.swap(catalog);
        // Without a receiver the host is ending, and shuts every function down by itself.
        let _ = self.replaced.send(Replaced { catalog: before });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at a folder found.
enum Change {
    Gone {
        name: String,
    },
    Looked {
        name: String,
        fingerprint: Fingerprint,
        known: Known,
        result: Box<Result<Function, DeployError>>,
    },
}

impl State {
    /// Takes a change over; whether the catalog has to change too.
    fn apply(&mut self, change: Change) -> bool {
        let (name, fingerprint, known, result) = match change {
            Change::Gone { name } => {
                let gone = self.deployments.remove(&name);
                tracing::info!(function = name, "undeployed: its folder is gone");
                return gone.is_some_and(|gone| gone.function.is_some());
            }
            Change::Looked { name, fingerprint, known, result } => (name, fingerprint, known, result),
        };
        let deployment = self.deployments.entry(name).or_default();
        deployment.fingerprint = Some(fingerprint);
        deployment.known = known;
        match *result {
            Ok(function) => deployment.deployed(function),
            Err(error) => {
                deployment.last_error = Some(LastError { at: SystemTime::now(), message: error.to_string() });
                false
            }
        }
    }

    fn check_aliases(&mut self) -> bool {
        let Self { deployments, aliases } = self;
        aliases.check(|id, version| {
            let deployment = deployments.get(&format!("{id}@{version}"));
            deployment.is_some_and(|deployment| deployment.function.is_some())
        })
    }
}

impl Deployment {
    /// What is counted under its name.
    pub(crate) const fn stats(&self) -> &Arc<Stats> {
        &self.known.stats
    }

    fn deployed(&mut self, function: Function) -> bool {
        self.last_error = None;
        if self.function.as_ref().is_some_and(|before| before.is_same(&function)) {
            return false;
        }
        tracing::info!(function = function.name(), digest = %function.key.digest, "serving");
        self.deployed_at = Some(SystemTime::now());
        self.function = Some(Arc::new(function));
        true
    }
}
