//! Settings: flags over environment over `config/hhrf.toml` over defaults.
//!
//! Raw values are gathered without judgement, each with its origin; then all of them are judged, so that every mistake is
//! reported at once. The result is the options of each module: this module imports the others, and none imports it.

mod args;
mod isolation;
mod judge;
mod options;
mod sources;

use std::fmt;

pub use args::{Arguments, Command, command};

use crate::{logging, serve, supervise};

/// The options of every part of the host; `config/hhrf.toml` says what each setting is for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the log is written.
    pub(crate) log: logging::Options,
    /// How the supervisor judges serving processes.
    pub(crate) supervise: supervise::Options,
    /// How a serving process serves.
    pub(crate) serve: serve::Options,
    /// Whether the supervisor and the serving process may leave core dumps.
    pub(crate) core_dumps: bool,
}

impl Settings {
    /// How many threads calls may block at once.
    #[must_use]
    pub const fn blocking_threads(&self) -> usize {
        self.serve.call.blocking_threads
    }

    /// Whether a crash may leave a core dump, with all secrets that were in memory.
    #[must_use]
    pub const fn core_dumps(&self) -> bool {
        self.core_dumps
    }
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
