//! The functions that are deployed: folders become functions, and functions an immutable snapshot that requests read.
//!
//! [`Watcher`] notices that something has changed, [`Registry`] has the folder deployed and publishes the next
//! [`Catalog`].

mod activate;
mod backoff;
mod deploy;
mod durable;
mod folder_file;
mod history;
mod keyed_mutex;
mod last_good;
mod mounts;
mod ownership;
mod registry;
mod snapshot;
mod store;
mod traffic_split;
mod watch;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use fezz_isolation::host::Defaults;

pub(crate) use activate::{Activate, NotActivated};
pub(crate) use backoff::retry_delay;
pub(crate) use deploy::{AssetLimits, Policy, SecretRules};
pub use deploy::{own_program, probe};
pub(crate) use last_good::LastGood;
pub(crate) use registry::{Deployment, Registry};
pub(crate) use snapshot::Catalog;
pub(crate) use watch::{Timing, Watcher};

use crate::function::Limits;

/// Where functions come from, and what holds for those whose `fezz.json` says nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The functions folder.
    pub(crate) functions: PathBuf,
    /// The folder of the host's own files.
    pub(crate) state_dir: PathBuf,
    /// The file of secrets, if any.
    pub(crate) secrets_file: Option<PathBuf>,
    pub(crate) limits: Limits,
    /// How functions are isolated.
    pub(crate) isolation: Defaults,
    /// What a `fezz.json` may ask for.
    pub(crate) policy: Policy,
    /// Whether a function in quarantine moves to worker processes, or is refused.
    pub(crate) quarantine_isolates: bool,
    /// How large the files of an application may be.
    pub(crate) assets: AssetLimits,
    /// How long a probe may take.
    pub(crate) probe_timeout: Duration,
    /// How changes are found.
    pub(crate) timing: Timing,
}

/// Why the functions folder or the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The functions folder cannot be read.
    #[error(
        "cannot read the functions folder `{folder}`: {source}; make it, or name another with --functions"
    )]
    Functions {
        /// The functions folder.
        folder: String,
        /// The cause.
        source: io::Error,
    },
    /// Another user could write to the folder of the host's own files.
    #[error("the state folder is not safe to use: {0}")]
    Untrusted(#[source] io::Error),
    /// The folder of the host's own files cannot be written.
    #[error("cannot open the store in `{folder}`: {source}; is it writable? --state-dir names another")]
    State {
        /// The state folder.
        folder: String,
        /// The cause.
        source: io::Error,
    },
}
