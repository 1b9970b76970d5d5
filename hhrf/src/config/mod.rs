//! Settings: flags over environment over `config/hhrf.toml` over defaults.
//!
//! Raw values are gathered without judgement, each with its origin; then all of them are judged, so that everything
//! that is wrong is said at once.

mod args;
mod isolation;
mod judge;
mod sources;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

pub(crate) use args::WORKER;
pub use args::{Arguments, Command, command};

pub(crate) use crate::catalog::{Limits, Timing};
pub(crate) use crate::pool::{Defaults, HealthSettings, Plan, PoolSettings};
pub(crate) use crate::route::Sticky;
pub(crate) use crate::supervise::SupervisorSettings;

/// What the host runs with; `config/hhrf.toml` says what each of them is for.
#[derive(Debug)]
pub struct Settings {
    pub(crate) functions: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) state_dir: PathBuf,
    pub(crate) log: Targets,
    pub(crate) log_format: LogFormat,
    pub(crate) expose_panics: bool,
    pub(crate) limits: Limits,
    pub(crate) blocking_threads: usize,
    pub(crate) abandoned_max: usize,
    pub(crate) slow_poll: Duration,
    pub(crate) max_connections: usize,
    pub(crate) max_headers: usize,
    pub(crate) max_head_bytes: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) cache_idle: Duration,
    pub(crate) cache_sweep: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) secrets_file: Option<PathBuf>,
    pub(crate) timing: Timing,
    pub(crate) sticky: Sticky,
    /// Where the admin listener listens, if anywhere.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) drain_delay: Duration,
    pub(crate) libraries_warning: usize,
    pub(crate) isolation: Defaults,
    pub(crate) pool: PoolSettings,
    pub(crate) supervisor: SupervisorSettings,
    /// How long a serving process that was handed over from keeps connections that are idle.
    pub(crate) hand_over: Duration,
}

impl Settings {
    /// How many calls may block a thread at once.
    #[must_use]
    pub const fn blocking_threads(&self) -> usize {
        self.blocking_threads
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything that is wrong with the settings, a line each.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hhrf cannot start, its settings are wrong:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// Gathers and judges the settings.
///
/// # Errors
/// All that is wrong with them.
pub fn load(arguments: &Arguments) -> Result<Settings, ConfigError> {
    let (raw, mut problems) = sources::gather(arguments);
    let settings = judge::settings(raw, &mut problems);
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError(problems)) }
}
