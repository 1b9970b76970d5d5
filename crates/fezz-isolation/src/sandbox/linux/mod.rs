//! Linux: limits, capabilities, Landlock, seccomp.

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

/// Why a worker must not go on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
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
pub fn enter(confinement: &Confinement) -> Result<Enforced, SandboxError> {
    die_with(confinement.parent)?;
    let mut enforced = Enforced::default();
    enforced.holds("parent-death signal");
    limits::apply(&confinement.limits)?;
    enforced.holds("limits of data, open files, CPU time and file size");
    if confinement.profile == Profile::Off {
        // The others start no processes.
        match orphans::mark(confinement.parent) {
            Ok(()) => enforced.holds("end of all that it starts"),
            Err(_) => enforced.lacks("end of processes that leave their group (RLIMIT_LOCKS)"),
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

/// Ends this process with the one that started it, which may have ended already.
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
