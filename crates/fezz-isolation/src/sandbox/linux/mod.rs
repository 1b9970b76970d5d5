//! The sandbox on Linux: resource limits, capabilities, Landlock, seccomp.

mod files;
mod library_paths;
mod limits;
mod syscall_arguments;
mod syscall_table;
mod syscalls;

use std::io;

use fezz_runtime::sys;
use rustix::process::{Pid, getppid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

pub use files::files_by_name;

use crate::orphans;

use super::{Confinement, Enforced, ProcessLimits, Profile};

/// With this port allowed, UDP sockets are too: Landlock has no rules for UDP.
const DNS_PORT: u16 = 53;

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
    limits::apply(&confinement.limits, &mut enforced)?;
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
    Ok(enforced)
}

impl Confinement {
    /// Notes that this system lacks what this sandbox is made of.
    ///
    /// # Errors
    /// If the profile promises it.
    fn lacks(&self, enforced: &mut Enforced, what: &str) -> Result<(), SandboxError> {
        if self.profile == Profile::Strict {
            return Err(SandboxError::Lacking(what.to_owned()));
        }
        enforced.lacks(what);
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A sandbox with everything that can be asked for.
    pub(super) fn confinement() -> Confinement {
        Confinement {
            profile: Profile::Net,
            ports: vec![DNS_PORT, 443],
            readable: Vec::new(),
            writable: Vec::new(),
            limits: ProcessLimits {
                memory_bytes: 1 << 30,
                open_files: 512,
                cpu_seconds: 60,
                file_bytes: 1 << 20,
                nice: 0,
            },
            parent: 1,
        }
    }

    #[test]
    fn what_a_system_lacks_is_listed_and_refuses_a_strict_sandbox() {
        let mut enforced = Enforced::default();
        let net = confinement();
        net.lacks(&mut enforced, "rules").unwrap();
        assert_eq!(enforced.missing, ["rules"]);
        let strict = Confinement { profile: Profile::Strict, ..net };
        let error = strict.lacks(&mut enforced, "rules").unwrap_err();
        assert!(error.to_string().contains("`strict` needs rules"), "{error}");
    }
}
