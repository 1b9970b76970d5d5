//! What a worker process gives up before it loads the function: for good, since nothing of it can be taken back.
//!
//! The order matters: the parent-death signal first, so that no worker outlives its host whatever comes next; then the
//! limits; then the rules for files and ports, which need privileges to be gone; then the filter of system calls, which
//! would not let the others be set up. The library is loaded after all of that.

mod files;
mod limits;
mod syscalls;

use std::io;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use serde::{Deserialize, Serialize};

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
}

/// What really holds, and what this system cannot give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enforced {
    pub(crate) parts: Vec<String>,
    pub(crate) missing: Vec<String>,
}

/// Why a worker must not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("the host that started this worker is gone")]
    Orphan,
    #[error("the parent-death signal cannot be set: {0}")]
    ParentDeath(#[source] io::Error),
    #[error("the privileges cannot be given up: {0}")]
    Privileges(#[source] io::Error),
    #[error("the limit of {what} cannot be set: {source}")]
    Limit { what: &'static str, source: io::Error },
    #[error("the rules for files and ports cannot be made: {0}")]
    Files(#[from] landlock::RulesetError),
    #[error("the filter of system calls cannot be made: {0}")]
    Syscalls(#[from] seccompiler::Error),
    #[error(
        "the sandbox `strict` needs {0}, which this system does not have; choose `off`, which promises nothing of it"
    )]
    Lacking(String),
}

/// Gives up all that the profile does not leave. Must be called while the process has one thread.
pub(crate) fn enter(confinement: &Confinement) -> Result<Enforced, SandboxError> {
    die_with(confinement.parent)?;
    let mut enforced = Enforced::default();
    enforced.holds("parent-death signal");
    limits::apply(&confinement.limits)?;
    enforced.holds("limits of data, open files, CPU time and file size");
    if confinement.profile == Profile::Off {
        return Ok(enforced);
    }
    set_no_new_privs(true).map_err(|error| SandboxError::Privileges(error.into()))?;
    give_up_capabilities()?;
    enforced.holds("no new privileges, no capabilities");
    files::apply(confinement, &mut enforced)?;
    syscalls::apply(confinement)?;
    enforced.holds("filter of system calls");
    match enforced.missing.first() {
        Some(missing) if confinement.profile == Profile::Strict => {
            Err(SandboxError::Lacking(missing.clone()))
        }
        _ => Ok(enforced),
    }
}

impl Enforced {
    fn holds(&mut self, part: &str) {
        self.parts.push(part.to_owned());
    }

    pub(crate) fn lacks(&mut self, part: &str) {
        self.missing.push(part.to_owned());
    }
}

/// Ends this process with the one that started it, which may have ended already.
pub(crate) fn die_with(parent: u32) -> Result<(), SandboxError> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| SandboxError::ParentDeath(error.into()))?;
    let expected = i32::try_from(parent).ok().and_then(Pid::from_raw);
    if getppid() == expected { Ok(()) } else { Err(SandboxError::Orphan) }
}

fn give_up_capabilities() -> Result<(), SandboxError> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|error| SandboxError::Privileges(error.into()))
}
