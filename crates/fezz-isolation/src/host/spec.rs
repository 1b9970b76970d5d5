//! What a pool is started with: its function, and what all pools share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fezz_runtime::ffi::ReplyError;
use fezz_runtime::{Digest, Variables};

use super::plan::{Plan, PoolOptions};
use super::spawner::Spawner;

/// What all pools of this process share.
#[derive(Debug)]
pub struct PoolContext {
    /// Starts the processes.
    pub spawner: Spawner,
    /// What holds for every pool.
    pub options: PoolOptions,
    /// This very program.
    pub program: PathBuf,
}

/// What a pool tells the function's statistics.
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

/// What a pool needs to know of its function.
#[derive(Debug)]
pub struct Spec {
    /// `id@version`.
    pub name: String,
    /// The function's id.
    pub id: String,
    /// Its version, as text.
    pub version: String,
    /// The library's digest.
    pub digest: Digest,
    /// The private copy of the library.
    pub library: PathBuf,
    /// The folder that the function may write to.
    pub data_dir: PathBuf,
    /// The function's variables, which are the workers' environment.
    pub variables: Variables,
    /// How many workers there are, and what they may use.
    pub plan: Plan,
    /// The function's statistics.
    pub observer: Arc<dyn Observer>,
}
