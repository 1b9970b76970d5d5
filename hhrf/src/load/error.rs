//! Why a function is not loaded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fezz_isolation::host::CallError as WorkerError;
use fezz_runtime::ffi::OpenError;

/// Why a request finds no loaded function.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The latest load has failed; none is made before `again` has passed.
    #[error("the function could not be loaded: {cause}; the next attempt is made in {} s", seconds(*.again))]
    Failed { cause: Arc<LoadFailure>, again: Duration },
    #[error(
        "the function did not answer within {} ms: it is still being loaded, and its fezz_init has not returned",
        .timeout.as_millis()
    )]
    Deadline { timeout: Duration },
    #[error("the function could not be loaded: the host is ending")]
    Ending,
}

/// Why a load failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadFailure {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("a fresh copy of it cannot be made: {0}")]
    Copy(#[source] io::Error),
    #[error("no thread for it can be started: {0}")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The loader would give it that one.
    #[error(
        "its private library `{name}` is another one than that of {owner}, which this process has loaded, and a process has \
         one library of a name; isolate the function, put a version into the library's name, or hand over to a new \
         process (SIGHUP) if that build is no longer served"
    )]
    OtherLibrary { name: String, owner: String },
    #[error("its fezz_init has not returned within {} ms", .0.as_millis())]
    Hangs(Duration),
    #[error(
        "the build that it replaces still has calls that run after {} ms, and `\"swap\": \"stop-first\"` waits for them",
        .0.as_millis()
    )]
    StillRunning(Duration),
    #[error("the host is ending")]
    Ending,
    #[error("the load was lost inside the host; this is a defect of the host")]
    Lost,
}

impl LoadFailure {
    /// Whether this process has run out of something that a fresh one has.
    pub(super) fn is_wear(&self) -> bool {
        matches!(self, Self::Open(error) if error.is_wear()) || matches!(self, Self::Thread(_))
    }
}

/// Whole seconds, at least one: a client is not to come back at once.
pub(crate) fn seconds(again: Duration) -> u64 {
    again.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
}
