//! What a worker process gives up before it loads the function: for good, since nothing of it can be taken back.
//!
//! The order matters: the parent-death signal first, so that no worker outlives its host whatever comes next; then the
//! limits; then the rules for files and ports, which need privileges to be gone; then the filter of system calls, which
//! would not let the others be set up. The library is loaded after all of that.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{die_with, enter};
#[cfg(target_os = "linux")]
pub(crate) use linux::{die_with, enter};

/// What a worker may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// No network, no processes, no files but what libraries need and the data directory.
    Strict,
    /// As strict, with connections to some TCP ports.
    Net,
    /// Whatever the host may do.
    Off,
}

/// All that holds for one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Confinement {
    pub(crate) profile: Profile,
    /// TCP ports that `net` may connect to.
    pub(crate) ports: Vec<u16>,
    /// May be read, beside what every library needs.
    pub(crate) readable: Vec<PathBuf>,
    /// May be written.
    pub(crate) writable: Vec<PathBuf>,
    pub(crate) limits: ProcessLimits,
    /// The host's process, whose end is the worker's.
    pub(crate) parent: u32,
}

/// What a worker may use; more is refused to it, or ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessLimits {
    pub(crate) memory_bytes: u64,
    pub(crate) open_files: u64,
    pub(crate) cpu_seconds: u64,
    pub(crate) file_bytes: u64,
    /// How much it stands back where others want the processor too (`nice(2)`).
    pub(crate) nice: u8,
}

/// What really holds, and what this system cannot give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enforced {
    pub(crate) parts: Vec<String>,
    pub(crate) missing: Vec<String>,
}

impl Enforced {
    pub(crate) fn lacks(&mut self, part: &str) {
        self.missing.push(part.to_owned());
    }
}
