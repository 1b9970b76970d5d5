//! What the host gives a function besides requests: its settings, its data directory and a log.

use std::path::{Path, PathBuf};
use std::sync::RwLock;

use crate::entry::LogSink;

/// The function's view of its host, made anew at each load.
#[derive(Debug)]
pub struct Host {
    pub(crate) function_id: String,
    pub(crate) function_version: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) log: LogSink,
}

/// How important a log record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is odd.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// The host's latest table. Each load leaks one: the host keeps the library mapped for good, and hands over to a fresh
/// process after a bounded number of loads.
static HOST: RwLock<Option<&'static Host>> = RwLock::new(None);

pub(crate) fn install(host: Host) {
    let host = Box::leak(Box::new(host));
    *HOST.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(host);
}

/// The host that loaded this function; none outside a host, as in a unit test.
#[must_use]
pub fn host() -> Option<&'static Host> {
    *HOST.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One of the function's variables, from `env` in its `fezz.json`.
#[must_use]
pub fn variable(name: &str) -> Option<&'static str> {
    host()?.variable(name)
}

/// A directory that belongs to this function's id and survives its versions.
#[must_use]
pub fn data_dir() -> Option<&'static Path> {
    Some(host()?.data_dir())
}

/// Writes to the host's log, under the function's id and version; nothing happens outside a host.
pub fn log(level: Level, message: &str) {
    if let Some(host) = host() {
        host.log.write(level, message);
    }
}

impl Host {
    /// The function's id.
    #[must_use]
    pub fn function_id(&self) -> &str {
        &self.function_id
    }

    /// The function's version.
    #[must_use]
    pub fn function_version(&self) -> &str {
        &self.function_version
    }

    /// See [`data_dir`].
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// See [`variable`].
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All variables.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
