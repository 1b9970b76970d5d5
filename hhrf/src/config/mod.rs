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
use std::path::{Path, PathBuf};

pub use args::{Arguments, Command, command};

use crate::catalog::LastGood;
use crate::supervise::SettingsChoice;
use crate::{logging, serve, supervise};
use options::DEFAULT_STATE_DIR;
use sources::SettingsFile;

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

    /// Why the present settings file is not in force, if the last good one stands in for it.
    #[must_use]
    pub fn rejected(&self) -> Option<&str> {
        self.serve.settings.rejected.as_deref()
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

/// Gathers and judges the settings. Where the settings file is wrong, the last good one may stand in for it; it is in the
/// state folder, or else in `state_dir`.
///
/// # Errors
/// All that is wrong with them.
pub fn load(
    arguments: &Arguments,
    choice: SettingsChoice,
    state_dir: Option<&Path>,
) -> Result<Settings, ConfigError> {
    let file = SettingsFile::read(arguments);
    let judged = judge(arguments, &file);
    let is_rejected = judged.is_err() || choice == SettingsChoice::LastGood;
    if !is_rejected || choice == SettingsChoice::Current {
        return judged;
    }
    let reason = judged.as_ref().err().map_or_else(
        || "no process that was started with it has come to accept connections".to_owned(),
        |problems| problems.0.join("; "),
    );
    let own = sources::state_dir(arguments, &file).unwrap_or_else(|| PathBuf::from(DEFAULT_STATE_DIR));
    let last_good = [Some(own.as_path()), state_dir].into_iter().flatten().find_map(|folder| {
        let file = file.with(LastGood::of(folder).settings().ok()??);
        judge(arguments, &file).ok()
    });
    last_good.map_or(judged, |mut settings| {
        settings.serve.settings.rejected = Some(reason);
        Ok(settings)
    })
}

fn judge(arguments: &Arguments, file: &SettingsFile) -> Result<Settings, ConfigError> {
    let (raw, mut problems) = sources::gather(arguments, file);
    let mut settings = judge::settings(raw, &mut problems);
    settings.serve.settings.text = file.text.clone().unwrap_or_default();
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError(problems)) }
}
