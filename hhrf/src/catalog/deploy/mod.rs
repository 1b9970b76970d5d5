//! Deploying a folder: from its files to a function, by the same steps at the start and for every change.
//!
//! The manifest is validated; the library is read once through one descriptor, checked, copied to the store under its
//! digest and loaded by a probe process. What is served changes only after all of that has succeeded.

mod assets;
mod build;
mod contents;
mod dropped;
mod error;
mod failures;
mod fingerprint;
mod library_headers;
mod policy;
mod private_libraries;
mod probe;
mod probe_clock;
mod stamp;
mod variables;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fezz_isolation::host::Defaults;
use fezz_manifest::Manifest;
use fezz_runtime::Digest;
use tokio::sync::mpsc;

use super::history::Build;
use super::store::Store;
use super::{OpenError, Options};
use crate::function::{Function, FunctionKey, Limits, Quarantined, Stats};
use assets::Digests;
use failures::BadLibrary;
use probe::Prober;
use variables::{Secrets, SecretsSource};

pub(crate) use assets::AssetLimits;
pub(super) use assets::is_ignored;
pub(super) use contents::Contents;
pub(super) use dropped::read as read_dropped;
pub(crate) use error::DeployError;
pub(super) use error::report;
pub(super) use fingerprint::{Fingerprint, FolderStamp};
pub(crate) use policy::{Policy, SecretRules};
pub use probe::{own_program, run as probe};

pub(super) const MANIFEST: &str = "fezz.json";

/// What earlier deployments of a folder have left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    bad: Option<BadLibrary>,
    /// Shared, since there may be many.
    assets: Arc<Digests>,
    /// How long the last probe took; zero where there was none.
    pub(in crate::catalog) probe: Duration,
    pub(crate) stats: Arc<Stats>,
}

/// How long a deployment took.
#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct Took {
    pub(in crate::catalog) whole: Duration,
    /// In the probe process.
    pub(in crate::catalog) probe: Duration,
}

impl Took {
    /// Both in milliseconds, to the microsecond, for log lines.
    pub(in crate::catalog) fn millis(self) -> (f64, f64) {
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        (millis(self.whole), millis(self.probe))
    }
}

/// Turns folders into functions.
#[derive(Debug)]
pub(crate) struct Deployer {
    folder: PathBuf,
    data: PathBuf,
    defaults: Limits,
    isolation: Defaults,
    policy: Policy,
    quarantined: ArcSwap<Vec<Quarantined>>,
    quarantine_isolates: bool,
    secrets: SecretsSource,
    assets: AssetLimits,
    store: Store,
    prober: Prober,
    /// Where the keys of functions go that nothing holds any more.
    dropped: mpsc::UnboundedSender<Arc<FunctionKey>>,
}

impl Deployer {
    /// # Errors
    /// Where the store cannot be opened, or the functions folder is not there.
    pub(super) fn new(
        options: &Options,
        store: Store,
        quarantined: Vec<Quarantined>,
        dropped: mpsc::UnboundedSender<Arc<FunctionKey>>,
    ) -> Result<Self, OpenError> {
        let functions =
            |source| OpenError::Functions { folder: options.functions.display().to_string(), source };
        let state = |source| OpenError::State { folder: options.state_dir.display().to_string(), source };
        Ok(Self {
            // Links are followed each time: they may lead elsewhere later.
            folder: std::path::absolute(&options.functions).map_err(functions)?,
            store,
            data: std::path::absolute(options.state_dir.join("data")).map_err(state)?,
            defaults: options.limits.clone(),
            isolation: options.isolation.clone(),
            policy: options.policy.clone(),
            quarantined: ArcSwap::from_pointee(quarantined),
            quarantine_isolates: options.quarantine_isolates,
            secrets: SecretsSource { file: options.secrets_file.clone(), settle: options.timing.settle },
            assets: options.assets,
            prober: Prober::new(options.probe_timeout, &options.state_dir).map_err(state)?,
            dropped,
        })
    }

    /// The functions folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of all folders in the functions folder, in order; hidden ones are passed over. One that nothing can be
    /// told of is among them, so that its error is seen.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Follows a link: `todos@latest` may be one to a release's folder.
            let is_folder = match std::fs::metadata(entry.path()) {
                Ok(found) => found.is_dir(),
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            };
            if is_folder && !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The state of one folder; none where it is gone for sure.
    ///
    /// # Errors
    /// Where that cannot be told.
    pub(crate) fn fingerprint(&self, name: &str) -> io::Result<Option<Fingerprint>> {
        let folder = self.folder.join(name);
        match Fingerprint::of(&folder, self.assets, self.secrets.file.as_deref()) {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_gone(&folder, &error) => {
                // Where the functions folder itself is missing, nothing is known of those in it.
                self.stamp()?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Changes when a folder is added to the functions folder or removed from it.
    ///
    /// # Errors
    /// Where the functions folder is not there.
    pub(crate) fn stamp(&self) -> io::Result<FolderStamp> {
        FolderStamp::of(&self.folder)
    }

    /// Deploys one folder, if it is still as it was `seen`. What is learned about a bad library goes into `known`.
    pub(crate) async fn deploy(
        &self,
        name: &str,
        seen: Option<&Fingerprint>,
        known: &mut Known,
    ) -> Result<(Function, Contents), DeployError> {
        known.probe = Duration::ZERO;
        let contents = self.contents(name, known)?;
        if let Some(seen) = seen {
            let now = self.fingerprint(name).map_err(DeployError::ReadFolder)?;
            if !now.is_some_and(|now| now.is_alike(seen)) {
                // What was read may be half of an old state and half of a new one.
                return Err(DeployError::Changing);
            }
        }
        Ok((self.build(name, &contents, known).await?, contents))
    }

    /// Deploys again what a record says, with the secrets of that time.
    pub(crate) async fn restore(
        &self,
        name: &str,
        build: &Build,
        secrets: Secrets,
        known: &mut Known,
    ) -> Result<Function, DeployError> {
        let contents = Contents::of_record(&self.store, name, build, secrets)?;
        self.build(name, &contents, known).await
    }

    /// Replaces the list of builds in quarantine; answers with the functions that this concerns.
    pub(crate) fn set_quarantined(&self, quarantined: Vec<Quarantined>) -> Vec<String> {
        let before = self.quarantined.swap(Arc::new(quarantined));
        let now = self.quarantined.load();
        let changed = before.iter().filter(|one| !now.contains(one));
        let changed = changed.chain(now.iter().filter(|one| !before.contains(one)));
        changed.map(|one| one.name.clone()).collect()
    }
}

/// Whether this error says that a folder is not there: it alone does not exist, or something else is in its place.
fn is_gone(folder: &Path, error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::NotFound => true,
        io::ErrorKind::NotADirectory => std::fs::metadata(folder).is_ok_and(|found| !found.is_dir()),
        _ => false,
    }
}

/// The library's digest, unless the manifest says another.
fn expect_digest(manifest: &Manifest, found: Digest) -> Result<Digest, DeployError> {
    match &manifest.sha256 {
        Some(expected) if *expected != found.to_string() => {
            Err(DeployError::OtherDigest { expected: expected.clone(), found })
        }
        _ => Ok(found),
    }
}
