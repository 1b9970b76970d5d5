//! Deploying a folder: from its files to a function, by the same steps at the start and for every change.
//!
//! The manifest is validated; the library is read once through one descriptor, checked, copied to the store under its
//! digest and loaded by a probe process. What is served changes only after all of that has succeeded.

mod contents;
mod dropped;
mod failures;
mod fingerprint;
mod library_headers;
mod policy;
mod probe;
mod probe_clock;
mod probe_log;
mod variables;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use fezz_isolation::host::{Defaults, Plan};
use fezz_manifest::{Manifest, Problem, Problems};
use fezz_runtime::sys::crash_record;
use fezz_runtime::{Digest, Variables};
use tokio::sync::mpsc;

use super::history::Build;
use super::ownership;
use super::store::{self, Store};
use super::{NotActivated, OpenError, Options};
use crate::function::{Calls, Function, FunctionKey, Limits, Quarantined, Retirement, Stats, Tag};
use failures::BadLibrary;
use library_headers::HeaderError;
use probe::{ProbeError, Prober, Subject};
use variables::{Secrets, SecretsSource, VariablesError};

pub(super) use contents::Contents;
pub(super) use dropped::read as read_dropped;
pub(super) use fingerprint::{Fingerprint, FolderStamp};
pub(crate) use policy::{Policy, SecretRules};
pub use probe::{own_program, run as probe};

const MANIFEST: &str = "fezz.json";

/// Why a folder is not served, or not in its latest state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeployError {
    #[error("its folder cannot be read: {0}")]
    ReadFolder(#[source] io::Error),
    #[error("its files are changing")]
    Changing,
    #[error("{MANIFEST} cannot be read: {0}")]
    ReadManifest(#[source] io::Error),
    #[error("{MANIFEST}: {0}")]
    Manifest(#[from] Problems),
    #[error("its library `{file}` cannot be read: {source}")]
    ReadLibrary { file: String, source: io::Error },
    #[error(
        "the library is not the one that {MANIFEST} is about: `sha256` is {expected}, the library's {found}"
    )]
    OtherDigest { expected: String, found: Digest },
    #[error(transparent)]
    Variables(#[from] VariablesError),
    #[error(transparent)]
    Headers(#[from] HeaderError),
    #[error("the library cannot be copied to the store: {0}")]
    Store(#[source] io::Error),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("{reason}; this very library was refused before, so it was not tried again")]
    KnownBad { reason: String },
    /// Its probe has failed before, in a way that may pass, and it is too early to try again.
    #[error("{reason}")]
    Resting { reason: String, again: Duration },
    #[error(transparent)]
    Activate(#[from] NotActivated),
    #[error("its data directory cannot be made: {0}")]
    Data(#[source] io::Error),
}

impl DeployError {
    /// Whether the library's bytes decide it: deploying them again would fail again.
    const fn is_the_librarys(&self) -> bool {
        matches!(self, Self::Headers(_) | Self::Probe(ProbeError::Unfit(_)))
    }

    /// Whether the same folder may succeed later: a disk is full, a file is being written, a probe was killed, `fezz_init`
    /// needs a server that is down.
    pub(in crate::catalog) const fn may_pass(&self) -> bool {
        let of_the_moment = matches!(
            self,
            Self::ReadFolder(_)
                | Self::Changing
                | Self::ReadManifest(_)
                | Self::Variables(VariablesError::Read { .. })
                | Self::ReadLibrary { .. }
                | Self::Store(_)
                | Self::Data(_)
                | Self::Probe(_)
                | Self::Resting { .. }
                | Self::Activate(_)
        );
        of_the_moment && !self.is_the_librarys()
    }
}

/// What earlier deployments of a folder have left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    bad: Option<BadLibrary>,
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
        ownership::check(&options.state_dir).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => OpenError::Untrusted(error),
            _ => state(error),
        })?;
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
        match Fingerprint::of(&folder, self.secrets.file.as_deref()) {
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
        let contents = Contents::of_folder(&self.folder.join(name), name, &self.secrets)?;
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

    /// Makes a function of its contents.
    async fn build(
        &self,
        name: &str,
        contents: &Contents,
        known: &mut Known,
    ) -> Result<Function, DeployError> {
        self.policy.check(&contents.manifest)?;
        let quarantined = self.quarantined(name, contents.digest);
        if quarantined.is_some() && self.quarantine_isolates {
            match self.build_with(name, contents, quarantined.clone(), true, known).await {
                Ok(function) => return Ok(function),
                Err(error) => {
                    let reason = quarantined.unwrap_or_default();
                    let reason = format!("{reason}; it cannot run in worker processes: {error}");
                    return self.build_with(name, contents, Some(reason), false, known).await;
                }
            }
        }
        self.build_with(name, contents, quarantined, false, known).await
    }

    async fn build_with(
        &self,
        name: &str,
        contents: &Contents,
        quarantined: Option<String>,
        isolates: bool,
        known: &mut Known,
    ) -> Result<Function, DeployError> {
        let Contents { manifest, routes, variables, library, digest, .. } = contents;
        let isolation = self.isolation.plan(manifest, isolates);
        let key = FunctionKey {
            name: name.to_owned(),
            id: manifest.id.clone(),
            version: manifest.version.to_string(),
            digest: *digest,
            settings: fingerprint(variables, isolation.as_ref()),
        };
        let library = self.admit(&key, variables, isolation.as_ref(), library, known).await?;
        let limits = self.limits(manifest);
        let entry = crash_record::entry(&key.name, key.digest);
        let (tag, key) = (Tag::of(&key), Arc::new(key));
        Ok(Function {
            route_stats: known.stats.of_routes(routes),
            tag,
            version: manifest.version.clone(),
            data_dir: self.data_dir(&key.id)?,
            calls: Calls::new(limits.max_concurrency),
            stats: Arc::clone(&known.stats),
            number: entry.number(),
            _entry: entry,
            _retirement: Retirement::new(Arc::clone(&key), self.dropped.clone()),
            key,
            routes: routes.clone(),
            // In worker processes its crashes cost single requests.
            quarantined: quarantined.filter(|_| isolation.is_none()),
            isolation,
            swap: manifest.swap,
            variables: variables.clone(),
            library,
            limits,
        })
    }

    /// Brings the library into the store. One that is there has passed its probe before.
    async fn admit(
        &self,
        key: &FunctionKey,
        variables: &Variables,
        isolation: Option<&Plan>,
        data: &[u8],
        known: &mut Known,
    ) -> Result<PathBuf, DeployError> {
        let target = self.store.path(key);
        if Store::holds(&target, data) {
            return Ok(target);
        }
        let bad = known.bad.as_ref().filter(|bad| bad.is(key));
        bad.map_or(Ok(()), BadLibrary::check)?;
        let failures = bad.map_or(0, |bad| bad.failures) + 1;
        let passed = self.examine(&target, key, variables, isolation, data, &mut known.probe).await;
        known.bad = passed.as_ref().err().and_then(|error| BadLibrary::new(key, error, failures));
        passed
    }

    async fn examine(
        &self,
        target: &Path,
        key: &FunctionKey,
        variables: &Variables,
        isolation: Option<&Plan>,
        data: &[u8],
        probe: &mut Duration,
    ) -> Result<PathBuf, DeployError> {
        library_headers::check(data)?;
        let staged = Store::stage(target.to_owned(), data).map_err(DeployError::Store)?;
        let subject = Subject::new(staged.path(), key, variables);
        let begin = Instant::now();
        let verdict = self.prober.check(subject, isolation).await;
        *probe = begin.elapsed();
        verdict?;
        staged.admit().map_err(DeployError::Store)
    }

    /// Replaces the list of builds in quarantine; answers with the functions that this concerns.
    pub(crate) fn set_quarantined(&self, quarantined: Vec<Quarantined>) -> Vec<String> {
        let before = self.quarantined.swap(Arc::new(quarantined));
        let now = self.quarantined.load();
        let changed = before.iter().filter(|one| !now.contains(one));
        let changed = changed.chain(now.iter().filter(|one| !before.contains(one)));
        changed.map(|one| one.name.clone()).collect()
    }

    /// Why this build is in quarantine, if it is.
    fn quarantined(&self, name: &str, digest: Digest) -> Option<String> {
        let digest = digest.to_string();
        let quarantined = self.quarantined.load();
        let found = quarantined.iter().find(|found| found.name == name && found.digest == digest);
        found.map(|found| found.reason.clone())
    }

    fn data_dir(&self, id: &str) -> Result<PathBuf, DeployError> {
        let folder = self.data.join(id);
        store::private_folder(&folder).map_err(DeployError::Data)?;
        Ok(folder)
    }

    fn limits(&self, manifest: &Manifest) -> Limits {
        let defaults = &self.defaults;
        let millis = |own: Option<u64>, default| own.map_or(default, Duration::from_millis);
        Limits {
            timeout: millis(manifest.timeout_ms, defaults.timeout),
            max_body_bytes: manifest.max_body_bytes.unwrap_or(defaults.max_body_bytes),
            max_concurrency: manifest
                .max_concurrency
                .map_or(defaults.max_concurrency, |limit| limit as usize),
            max_queue: manifest.max_queue.map(|limit| limit as usize).or(defaults.max_queue),
            queue_wait: millis(manifest.queue_ms, defaults.queue_wait),
            max_response_bytes: manifest.max_response_bytes.unwrap_or(defaults.max_response_bytes),
        }
    }
}

/// Fingerprint of what statics may have been initialised from. Another isolation is other code, too.
fn fingerprint(variables: &Variables, isolation: Option<&Plan>) -> u64 {
    let variables = variables.fingerprint();
    isolation.map_or(variables, |plan| {
        let mut hasher = DefaultHasher::new();
        (variables, plan).hash(&mut hasher);
        hasher.finish()
    })
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

/// One log line for each problem, with its file and, if there is one, its JSON path. `serving` is the build that serves
/// on.
pub(in crate::catalog) fn report(
    folder: &Path,
    name: &str,
    error: &DeployError,
    serving: Option<Digest>,
    took: Took,
) {
    let (took_ms, probe_ms) = took.millis();
    let folder = folder.join(name);
    let file = folder.join(MANIFEST);
    let state = serving.map_or_else(
        || "not served".to_owned(),
        |digest| format!("not deployed, {} serves on", digest.short()),
    );
    match error {
        DeployError::Manifest(problems) => {
            for Problem { path, message } in problems.iter() {
                tracing::error!(function = name, file = %file.display(), path, "{state}: {message}");
            }
        }
        DeployError::ReadManifest(_) => {
            tracing::error!(function = name, file = %file.display(), "{state}: {error}");
        }
        _ => {
            tracing::error!(
                function = name,
                file = %folder.display(),
                took_ms,
                probe_ms,
                "{state}: {error}"
            );
        }
    }
}
