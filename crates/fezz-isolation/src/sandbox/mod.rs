//! The worker's sandbox: resource limits, Landlock rules and a seccomp filter. A process enters it before it loads the
//! function and cannot leave it.
//!
//! The order matters. The parent-death signal comes first, so that no worker outlives its host. Then come the resource
//! limits, then the Landlock rules, which need `no_new_privs`. The seccomp filter comes last, since it forbids the system
//! calls that set up the others.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
pub use linux::{SandboxError, die_with, enter, files_by_name};
#[cfg(not(target_os = "linux"))]
pub use other::{SandboxError, die_with, enter, files_by_name};

/// How far a worker is restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// No network, no child processes, no files but those that libraries need and the data directory.
    Strict,
    /// As strict, but with connections to the listed TCP ports.
    Net,
    /// The host's own rights: only resource limits and the parent-death signal apply.
    Off,
}

/// The restrictions of one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Confinement {
    /// How far the worker is restricted.
    pub profile: Profile,
    /// TCP ports that [`Profile::Net`] may connect to; port 53 allows UDP sockets as well.
    pub ports: Vec<u16>,
    /// Files and folders that may be read, besides those that every library needs.
    pub readable: Vec<PathBuf>,
    /// Folders that may be read and written.
    pub writable: Vec<PathBuf>,
    /// The resource limits.
    pub limits: ProcessLimits,
    /// The host's process id; when that process ends, the kernel kills the worker.
    pub parent: u32,
}

/// Resource limits of a process. Using more fails, or ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Memory, in bytes: `RLIMIT_DATA` above what the program itself uses, the control group's `memory.max`, and the
    /// resident memory that the host polls.
    pub memory_bytes: u64,
    /// Open file descriptors (`RLIMIT_NOFILE`).
    pub open_files: u64,
    /// CPU time, in seconds (`RLIMIT_CPU`).
    pub cpu_seconds: u64,
    /// Size of a file that it writes, in bytes (`RLIMIT_FSIZE`).
    pub file_bytes: u64,
    /// Nice value to add to the host's own, from 0 to 19 (`nice(2)`).
    pub nice: u8,
}

/// Which restrictions are in force, in words for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// Restrictions in force.
    pub parts: Vec<String>,
    /// Restrictions that this system cannot enforce.
    pub missing: Vec<String>,
}

impl Enforced {
    /// Adds a restriction that this system cannot enforce.
    pub fn lacks(&mut self, part: &str) {
        self.missing.push(part.to_owned());
    }
}
