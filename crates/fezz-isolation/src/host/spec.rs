//! Inputs of a pool: its function, the function's statistics, and the context that all pools share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fezz_runtime::ffi::ReplyError;
use fezz_runtime::{Digest, Variables};

use super::plan::{Plan, PoolOptions};
use super::spawner::Spawner;
use super::temporary::TemporaryFolders;

/// The context that all pools of this process share.
#[derive(Debug)]
pub struct PoolContext {
    /// Spawns the worker processes.
    pub spawner: Spawner,
    /// Settings of all pools.
    pub options: PoolOptions,
    /// The host's own executable, which workers run too.
    pub program: PathBuf,
    /// Makes the workers' temporary folders.
    pub temporary: TemporaryFolders,
}

/// Receives a pool's events, for the function's statistics.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A worker has started.
    fn worker_started(&self);
    /// A worker has crashed, or could not be started.
    fn worker_crashed(&self);
    /// A call has ended after this time, with an answer or an error.
    fn call_ended(&self, took: Duration, error: Option<&ReplyError>);
    /// An answer's body broke off.
    fn body_broken(&self);
}

/// The function that a pool runs.
#[derive(Debug)]
pub struct Spec {
    /// Its name in logs, `id@version`.
    pub name: String,
    /// The function's id.
    pub id: String,
    /// Its version, as text.
    pub version: String,
    /// The library's digest.
    pub digest: Digest,
    /// The private copy of the library.
    pub library: PathBuf,
    /// The folder that it may write to.
    pub data_dir: PathBuf,
    /// Its variables, which become the workers' environment once they are in their sandbox.
    pub variables: Variables,
    /// The folder with the files that were deployed beside its library, if there are any: the workers' working directory.
    pub assets_dir: Option<PathBuf>,
    /// Number, sandbox and limits of its workers.
    pub plan: Plan,
    /// Its statistics.
    pub observer: Arc<dyn Observer>,
}
