//! The host's services to a function: settings, data directory and log.

use std::path::{Path, PathBuf};
use std::sync::RwLock;

use crate::entry::{LogSink, Record, current};

/// The function's view of its host, made once for each table that the host passes.
#[derive(Debug)]
pub struct Host {
    /// The address of the host's table; 0 for a test's own host.
    pub(crate) table: usize,
    pub(crate) function_id: String,
    pub(crate) function_version: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) assets: Option<PathBuf>,
    pub(crate) variables: Vec<(String, String)>,
    /// The host's log; none for a test's own host.
    pub(crate) log: Option<LogSink>,
}

/// The level of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A failure.
    Error = 1,
    /// An unusual condition.
    Warn,
    /// Information for operators.
    Info,
    /// Information for developers.
    Debug,
    /// The finest detail.
    Trace,
}

/// The host of the latest table. It is leaked, because a function may keep references into it. Reloads pass the same
/// table, so this happens once for each new table only.
static HOST: RwLock<Option<&'static Host>> = RwLock::new(None);

/// Makes the host of the table at this address, unless it is the latest already: a table never changes.
pub(crate) fn install(table: usize, make: impl FnOnce() -> Host) {
    let mut latest = HOST.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    if latest.is_none_or(|host| host.table != table) {
        *latest = Some(Box::leak(Box::new(make())));
    }
}

/// The host that loaded this function; none outside a host, as in a unit test.
#[must_use]
pub fn host() -> Option<&'static Host> {
    // A test may have set one for the current call.
    current::host().or_else(loaded)
}

fn loaded() -> Option<&'static Host> {
    *HOST.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One of the function's variables, from `env` in its `fezz.json`.
#[must_use]
pub fn variable(name: &str) -> Option<&'static str> {
    host()?.variable(name)
}

/// A directory for this function id, kept across its versions.
#[must_use]
pub fn data_dir() -> Option<&'static Path> {
    Some(host()?.data_dir())
}

/// The folder with the files that were deployed beside the function's library: templates, scripts, images. It is as it was
/// when this build was deployed, and read-only. None if there are none, on a host before version 1.1 of the C contract, and
/// outside a host.
///
/// Relative paths lead there as well: `ServeDir::new("assets")` is right as it is. In the host's process that holds on Linux
/// with glibc, and for what calls libc, as std and tokio do; this path is right everywhere.
///
/// ```
/// use std::path::Path;
///
/// // In the function's folder: `assets/style.css`. Outside a host, as in a unit test, the crate's own folder.
/// let folder = fezz_sdk::assets().unwrap_or(Path::new(".")).join("assets");
/// ```
#[must_use]
pub fn assets() -> Option<&'static Path> {
    host()?.assets()
}

/// Writes to the host's log, with the function's id and version and the current request's id. Does nothing outside a
/// host.
pub fn log(level: Level, message: &str) {
    if is_logged(level) {
        let request_id = current::request_id();
        let record =
            Record { level, message, target: "", file: "", line: 0, request_id: &request_id, fields: &[] };
        write(&record);
    }
}

/// Whether the host logs records of this level.
pub(crate) fn is_logged(level: Level) -> bool {
    level as u32 <= log_level()
}

/// The most detailed level that the host logs, as a number of [`Level`]; 0 for none.
pub(crate) fn log_level() -> u32 {
    host().and_then(|host| host.log.as_ref()).map_or(0, LogSink::level)
}

pub(crate) fn write(record: &Record<'_>) {
    if let Some(log) = host().and_then(|host| host.log.as_ref()) {
        log.write(record);
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

    /// See [`assets`].
    #[must_use]
    pub fn assets(&self) -> Option<&Path> {
        self.assets.as_deref()
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
