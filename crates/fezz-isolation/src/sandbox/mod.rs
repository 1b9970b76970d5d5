//! What a worker process gives up before it loads the function: for good, since nothing of it can be taken back.
//!
//! The order matters: the parent-death signal first, so that no worker outlives its host whatever comes next; then the
//! limits; then the rules for files and ports, which need privileges to be gone; then the filter of system calls, which
//! would not let the others be set up. The library is loaded after all of that.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
pub use linux::{die_with, enter};
#[cfg(not(target_os = "linux"))]
pub use other::{die_with, enter};

/// What a worker may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// No network, no processes, no files but what libraries need and the data directory.
    Strict,
    /// As strict, with connections to some TCP ports.
    Net,
    /// Whatever the host may do.
    Off,
}

/// All that holds for one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Confinement {
    pub profile: Profile,
    /// TCP ports that `net` may connect to.
    pub ports: Vec<u16>,
    /// May be read, beside what every library needs.
    pub readable: Vec<PathBuf>,
    /// May be written.
    pub writable: Vec<PathBuf>,
    pub limits: ProcessLimits,
    /// The host's process, whose end is the worker's.
    pub parent: u32,
}

/// What a worker may use; more is refused to it, or ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessLimits {
    pub memory_bytes: u64,
    pub open_files: u64,
    pub cpu_seconds: u64,
    pub file_bytes: u64,
    /// How much it stands back where others want the processor too (`nice(2)`).
    pub nice: u8,
}

/// What really holds, and what this system cannot give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    pub parts: Vec<String>,
    pub missing: Vec<String>,
}

impl Enforced {
    pub fn lacks(&mut self, part: &str) {
        self.missing.push(part.to_owned());
    }
}
