//! Looking at one folder: whether it is there, whether it has changed, and what it comes to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::absence::{self, Absence};
use super::restore::Restored;
use super::{Deployment, Registry};
use crate::catalog::deploy::{self, Contents, DeployError, Fingerprint, FolderStamp, Known, Took};
use crate::catalog::keyed_mutex::KeyGuard;
use crate::function::Function;

/// A folder that changes continually is deployed after it was left alone so often.
const MAX_POSTPONED: u32 = 20;

/// What triggers the scan of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The start of the process.
    First,
    /// A change that the watcher has seen, after the folder was left alone for the settle time.
    Settled,
    /// A periodic rescan or a retry that is due.
    Rescan,
}

/// The result of looking at a folder.
pub(super) enum Change {
    /// It was removed.
    Gone { name: String },
    /// It is missing or changing, and may be whole again in a moment.
    Later {
        name: String,
        at: Instant,
        known: Known,
        absence: Option<Absence>,
        postponed: u32,
        restored: Option<Restored>,
    },
    /// It was deployed, or failed to be.
    Looked {
        name: String,
        fingerprint: Option<Fingerprint>,
        known: Known,
        took: Took,
        result: Box<Result<Arc<Function>, DeployError>>,
        /// What is to be recorded of it.
        contents: Option<Box<Contents>>,
        /// What serves in its place, where nothing does yet.
        restored: Option<Restored>,
    },
}

impl Registry {
    /// Scans one folder; none if it is unchanged. The folder's lock has to be held until the change is applied.
    pub(super) async fn look(self: Arc<Self>, name: String, look: Look) -> Option<(Change, KeyGuard)> {
        let guard = self.folder_locks.acquire(&name).await;
        let this = Arc::clone(&self);
        // Fails only where the host is ending.
        let permit = this.concurrent_scans.acquire().await.ok()?;
        let runtime = Handle::current();
        // On a thread that may block: libraries are read, hashed and written.
        let examine = move || runtime.block_on(self.examine(name, look));
        let mut change = tokio::task::spawn_blocking(examine).await.ok().flatten()?;
        // A build that never comes up must not hold up other folders.
        drop(permit);
        this.bring_up(&mut change).await;
        Some((change, guard))
    }

    async fn examine(&self, name: String, look: Look) -> Option<Change> {
        let _deploying = self.deploying.read().await;
        let before = self.lock().deployments.get(&name).cloned();
        match self.deployer.fingerprint(&name) {
            Ok(Some(fingerprint)) => self.present(name, before.unwrap_or_default(), fingerprint, look).await,
            Ok(None) => match self.deployer.stamp() {
                Ok(stamp) => self.missing(name, before, &stamp, look).await,
                Err(error) => self.unknown(name, before, error).await,
            },
            Err(error) => self.unknown(name, before, error).await,
        }
    }

    /// A folder that is there: deploys it, if it has changed and is not changing.
    async fn present(
        &self,
        name: String,
        mut before: Deployment,
        mut fingerprint: Fingerprint,
        look: Look,
    ) -> Option<Change> {
        let is_unchanged =
            before.fingerprint.as_ref().is_some_and(|earlier| fingerprint.is_unchanged_since(earlier));
        if is_unchanged && before.absence.is_none() && !before.may_pass() {
            return None;
        }
        let mut wait = self.unsettled(&fingerprint, look);
        if let Some(rest) = wait
            && look == Look::First
            && self.history.last_good(&name).is_ok_and(|last| last.is_some())
        {
            // Once: what was served last may serve a little longer.
            tokio::time::sleep(rest).await;
            fingerprint = self.deployer.fingerprint(&name).ok().flatten().unwrap_or(fingerprint);
            wait = self.unsettled(&fingerprint, look);
        } else if look == Look::First {
            wait = None;
        }
        before.absence = None;
        if let Some(rest) = wait.filter(|_| before.postponed < MAX_POSTPONED) {
            return Some(self.later(name, before, rest).await);
        }
        let begin = Instant::now();
        let seen = (before.postponed < MAX_POSTPONED).then_some(&fingerprint);
        let deployed = self.deployer.deploy(&name, seen, &mut before.known).await;
        let took = Took { whole: begin.elapsed(), probe: before.known.probe };
        let fingerprint = Some(fingerprint);
        match deployed {
            Ok((function, contents)) => {
                let function = Arc::new(function);
                self.hold(&function);
                let (known, result, contents) =
                    (before.known, Box::new(Ok(function)), Some(Box::new(contents)));
                Some(Change::Looked { name, fingerprint, known, took, result, contents, restored: None })
            }
            Err(DeployError::Changing) => Some(self.later(name, before, self.settle).await),
            Err(error) => Some(self.failed(name, before, fingerprint, took, error).await),
        }
    }

    /// How long to wait until nothing has changed for long enough; none where that is so. The watcher has seen to that
    /// itself.
    fn unsettled(&self, fingerprint: &Fingerprint, look: Look) -> Option<Duration> {
        let age = fingerprint.age().filter(|_| look != Look::Settled)?;
        self.settle.checked_sub(age).filter(|rest| !rest.is_zero())
    }

    /// A folder that is missing: gone for good, or about to be there again.
    async fn missing(
        &self,
        name: String,
        before: Option<Deployment>,
        stamp: &FolderStamp,
        look: Look,
    ) -> Option<Change> {
        let now = Instant::now();
        let Some(mut before) = before else {
            let was_deployed = look == Look::First && self.history.last_good(&name).ok()?.is_some();
            if !was_deployed {
                return None;
            }
            if absence::is_old_news(stamp, self.settle) {
                self.record_removal(&name);
                return None;
            }
            let before =
                Deployment { absence: Some(Absence::begin(now, stamp.clone())), ..Deployment::default() };
            return Some(self.later(name, before, self.settle).await);
        };
        let is_final = match &mut before.absence {
            Some(absence) => absence.is_final(now, stamp.clone(), self.settle),
            none => {
                *none = Some(Absence::begin(now, stamp.clone()));
                false
            }
        };
        if is_final || before.function.is_none() {
            self.record_removal(&name);
            return Some(Change::Gone { name });
        }
        Some(self.later(name, before, self.settle).await)
    }

    /// A folder of which nothing can be told. What serves, serves on.
    async fn unknown(&self, name: String, before: Option<Deployment>, error: io::Error) -> Option<Change> {
        let took = Took { whole: Duration::ZERO, probe: Duration::ZERO };
        let error = DeployError::ReadFolder(error);
        Some(self.failed(name, before.unwrap_or_default(), None, took, error).await)
    }

    async fn later(&self, name: String, mut before: Deployment, rest: Duration) -> Change {
        let restored = self.restored(&name, &mut before).await;
        let Deployment { known, absence, postponed, .. } = before;
        let postponed = if absence.is_some() { 0 } else { postponed + 1 };
        Change::Later { name, at: Instant::now() + rest, known, absence, postponed, restored }
    }

    /// A folder that cannot be deployed as it is. What serves, serves on.
    pub(super) async fn failed(
        &self,
        name: String,
        mut before: Deployment,
        fingerprint: Option<Fingerprint>,
        took: Took,
        error: DeployError,
    ) -> Change {
        // Said once for each state of the folder.
        let is_known =
            before.last_error.as_ref().is_some_and(|last| match (&before.fingerprint, &fingerprint) {
                (Some(earlier), Some(now)) => now.is_alike(earlier),
                (None, None) => last.message == error.to_string(),
                _ => false,
            });
        let restored = self.restored(&name, &mut before).await;
        if let Some(Restored { function, .. }) = &restored {
            let digest = function.key.digest;
            tracing::warn!(function = name, %digest, "what was deployed last serves on");
        }
        let serves = before.function.as_ref().or(restored.as_ref().map(|restored| &restored.function));
        if !is_known {
            let serving = serves.map(|function| function.key.digest);
            deploy::report(self.deployer.folder(), &name, &error, serving, took);
        }
        let (known, result) = (before.known, Box::new(Err(error)));
        Change::Looked { name, fingerprint, known, took, result, contents: None, restored }
    }

    /// What serves where nothing does yet, and the folder does not help: what was served last. Only a process that begins
    /// has not served it itself.
    pub(super) async fn restored(&self, name: &str, before: &mut Deployment) -> Option<Restored> {
        if before.function.is_some() || self.begun.load(Ordering::Acquire) {
            return None;
        }
        self.restore(name, &mut before.known).await
    }
}

impl Deployment {
    /// Whether deploying the same folder again may succeed.
    fn may_pass(&self) -> bool {
        self.last_error.as_ref().is_some_and(|error| error.may_pass)
    }
}
