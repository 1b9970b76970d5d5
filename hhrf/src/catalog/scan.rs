//! Reads the functions folder into a catalog: each folder on its own, so that one that is wrong harms no other.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fezz_manifest::{Manifest, Problem, Problems, RouteTable};
use futures_util::{StreamExt, stream};

use super::check::{self, CheckError};
use super::probe::{ProbeError, Prober};
use super::store::{self, Store};
use super::{Catalog, Function, FunctionKey, Limits};
use crate::config::Settings;
use crate::invoke::Gate;

const MANIFEST: &str = "fezz.json";

/// Why a folder is not served.
#[derive(Debug, thiserror::Error)]
enum DeployError {
    #[error("{MANIFEST} cannot be read: {0}")]
    ReadManifest(#[source] io::Error),
    #[error("{0}")]
    Manifest(#[from] Problems),
    #[error("its library `{file}` cannot be read: {source}")]
    ReadLibrary { file: String, source: io::Error },
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("the library cannot be copied to the store: {0}")]
    Store(#[source] io::Error),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("its data directory cannot be made: {0}")]
    Data(#[source] io::Error),
}

/// Turns folders into functions.
#[derive(Debug)]
pub(crate) struct Scanner {
    folder: PathBuf,
    data: PathBuf,
    defaults: Limits,
    store: Store,
    prober: Prober,
}

impl Scanner {
    /// # Errors
    /// Where the store cannot be opened.
    pub(crate) fn new(settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            folder: settings.functions.clone(),
            store: Store::open(&settings.state_dir)?,
            data: std::path::absolute(settings.state_dir.join("data"))?,
            defaults: settings.limits.clone(),
            prober: Prober::new(settings.probe_timeout)?,
        })
    }

    /// Reads all folders. What is wrong with one is logged, a line for each problem.
    ///
    /// # Errors
    /// Where the functions folder itself cannot be read.
    pub(crate) async fn scan(&self) -> io::Result<Catalog> {
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let functions = stream::iter(folders(&self.folder)?)
            .map(|name| async move {
                self.deploy(&name).await.inspect_err(|error| report(&self.folder, &name, error)).ok()
            })
            .buffered(at_once)
            .filter_map(std::future::ready)
            .collect::<Vec<_>>()
            .await;
        for function in &functions {
            tracing::info!(function = function.name(), digest = %function.key.digest, "serving");
        }
        Ok(Catalog::new(functions))
    }

    /// One folder, from its manifest to a function whose library is in the store.
    async fn deploy(&self, name: &str) -> Result<Function, DeployError> {
        let folder = self.folder.join(name);
        let text = store::read_beneath(&folder, MANIFEST).map_err(DeployError::ReadManifest)?;
        let manifest = Manifest::parse(&text)?;
        in_folder(&manifest, name)?;
        let routes = RouteTable::new(&manifest.routes)?;
        let file = manifest.library_file_name();
        let data = store::read_beneath(&folder, &file)
            .map_err(|source| DeployError::ReadLibrary { file, source })?;
        check::library(&data)?;
        let digest = store::digest(&data);
        let library = self.admit(self.store.path(digest, name), &data).await?;
        let data_dir = self.data.join(&manifest.id);
        std::fs::create_dir_all(&data_dir).map_err(DeployError::Data)?;
        let limits = self.limits(&manifest);
        Ok(Function {
            key: Arc::new(FunctionKey {
                name: name.to_owned(),
                version: manifest.version.to_string(),
                id: manifest.id,
                digest,
            }),
            routes,
            variables: manifest.env,
            data_dir,
            library,
            gate: Gate::new(limits.max_concurrency),
            limits,
        })
    }

    /// Brings the library into the store, unless it is there: then it has passed its probe before.
    async fn admit(&self, target: PathBuf, data: &[u8]) -> Result<PathBuf, DeployError> {
        if Store::holds(&target, data) {
            return Ok(target);
        }
        let staged = Store::stage(target, data).map_err(DeployError::Store)?;
        self.prober.check(staged.path()).await?;
        staged.admit().map_err(DeployError::Store)
    }

    fn limits(&self, manifest: &Manifest) -> Limits {
        let Limits { timeout, max_body_bytes, max_concurrency } = self.defaults.clone();
        Limits {
            timeout: manifest.timeout_ms.map_or(timeout, std::time::Duration::from_millis),
            max_body_bytes: manifest.max_body_bytes.unwrap_or(max_body_bytes),
            max_concurrency: manifest.max_concurrency.map_or(max_concurrency, |limit| limit as usize),
        }
    }
}

/// Whether id and version are the folder's.
fn in_folder(manifest: &Manifest, name: &str) -> Result<(), Problems> {
    Problems::check(manifest.check_folder(name))
}

/// The names of all folders in the functions folder, in order; hidden ones are passed over.
fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
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

/// One log line for each problem, with its file and, where there is one, its JSON path.
fn report(folder: &Path, name: &str, error: &DeployError) {
    let folder = folder.join(name);
    let file = folder.join(MANIFEST);
    match error {
        DeployError::Manifest(problems) => {
            for Problem { path, message } in problems.iter() {
                tracing::error!(function = name, file = %file.display(), path, "not served: {message}");
            }
        }
        DeployError::ReadManifest(_) => {
            tracing::error!(function = name, file = %file.display(), "not served: {error}");
        }
        _ => tracing::error!(function = name, file = %folder.display(), "not served: {error}"),
    }
}
