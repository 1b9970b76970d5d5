//! The registry: what is deployed in each folder, its last error, and the catalog built from all of them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use fezz_manifest::Aliases;
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::aliases::AliasFile;
use super::deploy::{self, DeployError, Deployer, Fingerprint, Known, Took};
use super::keyed_mutex::{KeyGuard, KeyedMutex};
use super::{Activate, Catalog, OpenError, Options};
use crate::function::{Function, FunctionKey, Quarantined, Stats};

/// Folders that are scanned at once: more than there are cores, since probes mostly wait.
const CONCURRENT_SCANS: usize = 8;
/// How long changes are gathered before they are published in one new catalog.
const PUBLISH_DELAY: Duration = Duration::from_millis(25);

/// One folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deployment {
    /// What serves: the last good state.
    pub(crate) function: Option<Arc<Function>>,
    pub(crate) deployed_at: Option<SystemTime>,
    /// How often something new has been served from it.
    pub(crate) deploys: u64,
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
    /// Whether deploying the same folder again may succeed.
    may_pass: bool,
}

/// All folders.
#[derive(Debug)]
pub(crate) struct Registry {
    deployer: Deployer,
    /// Brings new builds up.
    loader: Arc<dyn Activate>,
    catalog: Arc<ArcSwap<Catalog>>,
    state: Mutex<State>,
    folder_locks: Arc<KeyedMutex>,
    concurrent_scans: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    deployments: BTreeMap<String, Deployment>,
    aliases: AliasFile,
}

impl Registry {
    /// A registry in which nothing is deployed yet, which publishes to `catalog`. A build that replaces another is brought
    /// up by `loader` first. The keys of functions that nothing holds any more go to `dropped`. A build in `quarantined`
    /// is not called in this process.
    ///
    /// # Errors
    /// Where the store cannot be opened, or the functions folder is not there.
    pub(crate) fn open(
        options: &Options,
        quarantined: Vec<Quarantined>,
        catalog: Arc<ArcSwap<Catalog>>,
        loader: Arc<dyn Activate>,
        dropped: mpsc::UnboundedSender<Arc<FunctionKey>>,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            deployer: Deployer::new(options, quarantined, dropped)?,
            loader,
            catalog,
            state: Mutex::default(),
            folder_locks: Arc::default(),
            concurrent_scans: Semaphore::new(CONCURRENT_SCANS),
        })
    }

    /// The functions folder.
    pub(crate) fn folder(&self) -> &Path {
        self.deployer.folder()
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

    /// Scans every folder, and the aliases.
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

    /// Scans these folders and the aliases, and publishes what has changed. A slow folder holds up no other: what was
    /// found within [`PUBLISH_DELAY`] is published without waiting for the rest.
    pub(crate) async fn update(self: &Arc<Self>, names: Vec<String>) {
        let looks =
            stream::iter(names).map(|name| Arc::clone(self).look(name)).buffer_unordered(CONCURRENT_SCANS);
        let mut looks = std::pin::pin!(looks);
        let mut found = Vec::new();
        let mut publish_at = None;
        loop {
            let next = match publish_at {
                Some(at) => timeout_at(at, looks.next()).await,
                None => Ok(looks.next().await),
            };
            match next {
                Ok(Some(None)) => {}
                Ok(Some(Some(change))) => {
                    found.push(change);
                    publish_at.get_or_insert_with(|| Instant::now() + PUBLISH_DELAY);
                }
                Ok(None) => break,
                Err(_) => {
                    self.take_over(&mut found, None);
                    publish_at = None;
                }
            }
        }
        let this = Arc::clone(self);
        let aliases = tokio::task::spawn_blocking(move || AliasFile::read(this.deployer.folder())).await;
        self.take_over(&mut found, aliases.ok());
    }

    /// Applies changes and publishes them under one lock: the admin listener never shows what is not served yet. Aliases
    /// are checked after they were read, which is when all folders have been scanned.
    fn take_over(&self, found: &mut Vec<(Change, KeyGuard)>, aliases: Option<io::Result<Option<Vec<u8>>>>) {
        let mut state = self.lock();
        let mut changed = false;
        for (change, _guard) in found.drain(..) {
            changed |= state.apply(change);
        }
        if let Some(text) = aliases {
            state.aliases.take(text);
            // Also when only functions came: a split may have been waiting for one of them.
            changed |= state.check_aliases();
        }
        if changed {
            self.publish(&state);
        }
    }

    /// Scans one folder; none if it is unchanged. The folder's lock has to be held until the change is applied.
    async fn look(self: Arc<Self>, name: String) -> Option<(Change, KeyGuard)> {
        let guard = self.folder_locks.acquire(&name).await;
        let this = Arc::clone(&self);
        // Fails only where the host is ending.
        let permit = this.concurrent_scans.acquire().await.ok()?;
        let runtime = Handle::current();
        // On a thread that may block: libraries are read, hashed and written.
        let examine = move || runtime.block_on(self.examine(name));
        let mut change = tokio::task::spawn_blocking(examine).await.ok().flatten()?;
        // A build that never comes up must not hold up other folders.
        drop(permit);
        this.activate(&mut change).await;
        this.retry_later(&mut change);
        Some((change, guard))
    }

    /// Brings a new build up that is to replace another one. If that fails, so has the deployment.
    async fn activate(&self, change: &mut Change) {
        let Change::Looked { name, took, result, .. } = change else { return };
        let Ok(new) = result.as_ref() else { return };
        let before = self.lock().deployments.get(name).cloned().unwrap_or_default();
        let Some(old) = before.function.filter(|old| new.needs_activation(old)) else { return };
        let begin = Instant::now();
        let activated = self.loader.activate(new, &old).await;
        took.whole += begin.elapsed();
        let Err(error) = activated else { return };
        let error = DeployError::from(error);
        if before.last_error.is_none_or(|before| before.message != error.to_string()) {
            deploy::report(self.deployer.folder(), name, &error, Some(old.key.digest), *took);
        }
        **result = Err(error);
    }

    /// Has a folder scanned again whose failure may pass, when its next attempt is due.
    fn retry_later(self: &Arc<Self>, change: &mut Change) {
        let Change::Looked { name, known, result, .. } = change else { return };
        let Some(again) = result.as_ref().as_ref().err().and_then(|error| known.retry(error)) else { return };
        let (this, name) = (Arc::downgrade(self), name.clone());
        tokio::spawn(async move {
            tokio::time::sleep(again).await;
            if let Some(this) = this.upgrade() {
                this.update_boxed(vec![name]).await;
            }
        });
    }

    /// [`update`](Self::update) as a type that it can contain.
    fn update_boxed(self: Arc<Self>, names: Vec<String>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { self.update(names).await })
    }

    /// Deploys one folder if it has changed.
    async fn examine(&self, name: String) -> Option<Change> {
        let before = self.lock().deployments.get(&name).cloned();
        let Some(fingerprint) = self.deployer.fingerprint(&name) else {
            return before.map(|_| Change::Gone { name });
        };
        let before = before.unwrap_or_default();
        let is_unchanged =
            before.fingerprint.as_ref().is_some_and(|earlier| fingerprint.is_unchanged_since(earlier));
        if is_unchanged && !before.last_error.as_ref().is_some_and(|error| error.may_pass) {
            return None;
        }
        let mut known = before.known;
        let begin = Instant::now();
        let result = self.deployer.deploy(&name, &mut known).await;
        let took = Took { whole: begin.elapsed(), probe: known.probe };
        let serving = before.function.as_ref().map(|function| function.key.digest);
        // Said once for each state of the folder.
        let is_new = before.fingerprint.is_none_or(|earlier| !fingerprint.is_alike(&earlier));
        if let Err(error) = &result
            && (is_new || before.last_error.is_none())
        {
            deploy::report(self.deployer.folder(), &name, error, serving, took);
        }
        Some(Change::Looked { name, fingerprint, known, took, result: Box::new(result.map(Arc::new)) })
    }

    /// Makes the new state what requests see, from the next one on.
    fn publish(&self, state: &State) {
        let functions =
            state.deployments.values().filter_map(|deployment| deployment.function.clone()).collect();
        let catalog = Arc::new(Catalog::new(functions, state.aliases.in_force()));
        self.catalog.store(catalog);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of scanning a folder.
enum Change {
    Gone {
        name: String,
    },
    Looked {
        name: String,
        fingerprint: Fingerprint,
        known: Known,
        took: Took,
        result: Box<Result<Arc<Function>, DeployError>>,
    },
}

impl State {
    /// Takes a change over; whether the catalog has to change too.
    fn apply(&mut self, change: Change) -> bool {
        let (name, fingerprint, known, took, result) = match change {
            Change::Gone { name } => {
                let gone = self.deployments.remove(&name);
                tracing::info!(function = name, "undeployed: its folder is gone");
                return gone.is_some_and(|gone| gone.function.is_some());
            }
            Change::Looked { name, fingerprint, known, took, result } => {
                (name, fingerprint, known, took, result)
            }
        };
        let deployment = self.deployments.entry(name).or_default();
        deployment.fingerprint = Some(fingerprint);
        deployment.known = known;
        match *result {
            Ok(function) => deployment.deployed(function, took),
            Err(error) => {
                deployment.last_error = Some(LastError {
                    at: SystemTime::now(),
                    may_pass: error.may_pass(),
                    message: error.to_string(),
                });
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

    fn deployed(&mut self, function: Arc<Function>, took: Took) -> bool {
        self.last_error = None;
        if self.function.as_ref().is_some_and(|before| before.is_same(&function)) {
            return false;
        }
        let (took_ms, probe_ms) = took.millis();
        tracing::info!(function = function.name(), digest = %function.key.digest, took_ms, probe_ms, "serving");
        self.deployed_at = Some(SystemTime::now());
        self.deploys += 1;
        self.function = Some(function);
        true
    }
}
