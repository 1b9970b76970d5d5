//! Deploying a folder: from its files to a function, by the same steps at the start and for every change.
//!
//! The manifest is validated; the library is read once through one descriptor, checked, copied to the store under its
//! digest and loaded by a probe process. What is served changes only after all of that has succeeded.

mod dropped;
mod fingerprint;
mod library_headers;
mod policy;
mod probe;
mod variables;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fezz_isolation::host::{Defaults, Plan};
use fezz_manifest::{Manifest, Problem, Problems, RouteTable};
use fezz_runtime::sys::crash_record;
use fezz_runtime::{Digest, Variables};
use tokio::sync::mpsc;

use super::ownership;
use super::store::{self, Store};
use super::{OpenError, Options};
use crate::function::{Calls, Function, FunctionKey, Limits, Quarantined, Retirement, Stats, Tag};
use library_headers::HeaderError;
use probe::{ProbeError, Prober, Subject};
use variables::VariablesError;

pub(super) use dropped::read as read_dropped;
pub(super) use fingerprint::Fingerprint;
pub(crate) use policy::{Policy, SecretRules};
pub use probe::{own_program, run as probe};

const MANIFEST: &str = "fezz.json";

/// Why a folder is not served, or not in its latest state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeployError {
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
    #[error("its data directory cannot be made: {0}")]
    Data(#[source] io::Error),
}

impl DeployError {
    /// Whether the library is at fault: deploying it again would fail again.
    const fn is_the_librarys(&self) -> bool {
        matches!(self, Self::Headers(_) | Self::Probe(_)) && !self.may_pass()
    }

    /// Whether the same folder may succeed later: a disk is full, a file is being written, `fezz_init` needs a server that
    /// is down.
    pub(in crate::catalog) const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::ReadManifest(_)
                | Self::ReadLibrary { .. }
                | Self::Store(_)
                | Self::Data(_)
                | Self::Probe(ProbeError::Run(_) | ProbeError::Init(_))
        )
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

/// A library that failed its check or its probe.
#[derive(Clone, Debug)]
struct BadLibrary {
    digest: Digest,
    settings: u64,
    reason: String,
}

/// Turns folders into functions.
#[derive(Debug)]
pub(crate) struct Deployer {
    folder: PathBuf,
    data: PathBuf,
    defaults: Limits,
    isolation: Defaults,
    policy: Policy,
    quarantined: Vec<Quarantined>,
    quarantine_isolates: bool,
    secrets_file: Option<PathBuf>,
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
            // As the watcher reports it.
            folder: std::fs::canonicalize(&options.functions).map_err(functions)?,
            store: Store::open(&options.state_dir).map_err(state)?,
            data: std::path::absolute(options.state_dir.join("data")).map_err(state)?,
            defaults: options.limits.clone(),
            isolation: options.isolation.clone(),
            policy: options.policy.clone(),
            quarantined,
            quarantine_isolates: options.quarantine_isolates,
            secrets_file: options.secrets_file.clone(),
            prober: Prober::new(options.probe_timeout, &options.state_dir).map_err(state)?,
            dropped,
        })
    }

    /// The functions folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of all folders in the functions folder, in order; hidden ones are passed over.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Follows a link: `todos@latest` may be one to a release's folder.
            if entry.path().is_dir() && !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The state of one folder; none where it is gone.
    pub(crate) fn fingerprint(&self, name: &str) -> Option<Fingerprint> {
        Fingerprint::of(&self.folder.join(name), self.secrets_file.as_deref()).ok()
    }

    /// Deploys one folder. What is learned about a bad library goes into `known`.
    pub(crate) async fn deploy(&self, name: &str, known: &mut Known) -> Result<Function, DeployError> {
        known.probe = Duration::ZERO;
        let folder = self.folder.join(name);
        let text = dropped::read(&folder, MANIFEST).map_err(DeployError::ReadManifest)?;
        let manifest = Manifest::parse(&text)?;
        Problems::check(manifest.check_folder(name))?;
        self.policy.check(&manifest)?;
        let routes = RouteTable::new(&manifest.routes)?;
        let variables = variables::gather(&manifest, &folder, self.secrets_file.as_ref())?;
        let file = manifest.library_file_name();
        let data =
            dropped::read(&folder, &file).map_err(|source| DeployError::ReadLibrary { file, source })?;
        let digest = expect_digest(&manifest, store::digest(&data))?;
        let quarantined = self.quarantined(name, digest);
        let isolation = self.isolation.plan(&manifest, quarantined.is_some() && self.quarantine_isolates);
        let key = FunctionKey {
            name: name.to_owned(),
            id: manifest.id.clone(),
            version: manifest.version.to_string(),
            digest,
            settings: fingerprint(&variables, isolation.as_ref()),
        };
        let library = self.admit(&key, &variables, isolation.as_ref(), &data, known).await?;
        let limits = self.limits(&manifest);
        let (tag, key) = (Tag::of(&key), Arc::new(key));
        Ok(Function {
            route_stats: known.stats.of_routes(&routes),
            tag,
            version: manifest.version,
            data_dir: self.data_dir(&key.id)?,
            calls: Calls::default(),
            stats: Arc::clone(&known.stats),
            number: crash_record::number(&key.name, key.digest),
            _retirement: Retirement::new(Arc::clone(&key), self.dropped.clone()),
            key,
            routes,
            // In worker processes its crashes cost single requests.
            quarantined: quarantined.filter(|_| isolation.is_none()),
            isolation,
            variables,
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
        let FunctionKey { digest, settings, .. } = *key;
        if let Some(bad) = known.bad.as_ref().filter(|bad| bad.digest == digest && bad.settings == settings) {
            return Err(DeployError::KnownBad { reason: bad.reason.clone() });
        }
        let passed = self.examine(&target, key, variables, isolation, data, &mut known.probe).await;
        known.bad = passed.as_ref().err().filter(|error| error.is_the_librarys()).map(|error| BadLibrary {
            digest,
            settings,
            reason: error.to_string(),
        });
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

    /// Why this build is in quarantine, if it is.
    fn quarantined(&self, name: &str, digest: Digest) -> Option<String> {
        let digest = digest.to_string();
        let is_it = |found: &&Quarantined| found.name == name && found.digest == digest;
        self.quarantined.iter().find(is_it).map(|found| found.reason.clone())
    }

    fn data_dir(&self, id: &str) -> Result<PathBuf, DeployError> {
        let folder = self.data.join(id);
        store::private_folder(&folder).map_err(DeployError::Data)?;
        Ok(folder)
    }

    fn limits(&self, manifest: &Manifest) -> Limits {
        let Limits { timeout, max_body_bytes, max_concurrency } = self.defaults.clone();
        Limits {
            timeout: manifest.timeout_ms.map_or(timeout, Duration::from_millis),
            max_body_bytes: manifest.max_body_bytes.unwrap_or(max_body_bytes),
            max_concurrency: manifest.max_concurrency.map_or(max_concurrency, |limit| limit as usize),
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
