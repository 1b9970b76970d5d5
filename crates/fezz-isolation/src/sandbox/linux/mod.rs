//! The sandbox on Linux: resource limits, capabilities, Landlock, seccomp.

mod files;
mod limits;
mod syscall_table;
mod syscalls;

use std::io;

use fezz_runtime::sys;
use rustix::process::{Pid, getppid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use crate::orphans;

use super::{Confinement, Enforced, ProcessLimits, Profile};

/// Why a process could not enter the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The host has ended.
    #[error("the host that started this worker is gone")]
    Orphan,
    /// prctl(2) failed.
    #[error("the parent-death signal cannot be set: {0}")]
    ParentDeath(#[source] io::Error),
    /// `no_new_privs` or capset(2) failed.
    #[error("the privileges cannot be given up: {0}")]
    Privileges(#[source] io::Error),
    /// setrlimit(2) failed.
    #[error("the limit of {what} cannot be set: {source}")]
    Limit {
        /// Which limit.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Landlock failed.
    #[error("the rules for files and ports cannot be made: {0}")]
    Files(#[from] landlock::RulesetError),
    /// seccomp failed.
    #[error("the filter of system calls cannot be made: {0}")]
    Syscalls(#[from] seccompiler::Error),
    /// The profile is strict, and this system cannot enforce all of it; names what is missing.
    #[error(
        "the sandbox `strict` needs {0}, which this system does not have; choose `off`, which promises nothing of it"
    )]
    Lacking(String),
}

/// Enters the sandbox, for good. Must be called while the process has one thread.
///
/// # Errors
/// If a restriction cannot be set, the host has ended, or this system lacks something that [`Profile::Strict`] needs.
pub fn enter(confinement: &Confinement) -> Result<Enforced, SandboxError> {
    die_with(confinement.parent)?;
    let mut enforced = Enforced::default();
    enforced.holds("parent-death signal");
    limits::apply(&confinement.limits)?;
    enforced.holds("limits of data, open files, CPU time and file size");
    if confinement.profile == Profile::Off {
        // The other profiles allow no child processes.
        match orphans::mark(confinement.parent) {
            Ok(()) => enforced.holds("end of all descendants"),
            Err(_) => enforced.lacks("end of descendants that leave the process group (RLIMIT_LOCKS)"),
        }
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
}

/// Has the kernel kill this process when its parent, the process `parent`, ends.
///
/// # Errors
/// If the signal cannot be set, or the parent has ended already.
pub fn die_with(parent: u32) -> Result<(), SandboxError> {
    sys::die_with_parent().map_err(SandboxError::ParentDeath)?;
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
