//! Resource limits that the kernel enforces (setrlimit(2)), and the nice value.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Enforced, ProcessLimits, SandboxError};

pub(super) fn apply(limits: &ProcessLimits, enforced: &mut Enforced) -> Result<(), SandboxError> {
    // Without it, the worker competes with the host for CPU time, which is no reason to refuse it.
    match rustix::process::nice(limits.nice.into()) {
        Ok(_) => enforced.holds(&format!("nice value {} above the host's", limits.nice)),
        Err(error) => enforced.lacks(&format!("nice value {} above the host's: {error}", limits.nice)),
    }
    // On top of what the process has now: its allocator reserves address space that it may never use.
    let own = data_bytes().map_err(|source| SandboxError::Limit { what: "data", source })?;
    set("data", Resource::Data, own + limits.memory_bytes)?;
    set("open files", Resource::Nofile, limits.open_files)?;
    set_soft("CPU time", Resource::Cpu, limits.cpu_seconds)?;
    set("file size", Resource::Fsize, limits.file_bytes)?;
    // A core dump is slow to write and may contain secrets.
    set("core dumps", Resource::Core, 0)?;
    enforced
        .holds("limits of private memory (RLIMIT_DATA), open files, CPU time and file size; no core dumps");
    Ok(())
}

/// The memory of this process that counts for `RLIMIT_DATA`, in bytes.
fn data_bytes() -> io::Result<u64> {
    let statm = procfs::process::Process::myself().and_then(|process| process.statm());
    statm.map(|statm| statm.data * procfs::page_size()).map_err(io::Error::other)
}

fn set(what: &'static str, resource: Resource, wanted: u64) -> Result<(), SandboxError> {
    set_both(what, resource, wanted, wanted)
}

/// With SIGXCPU at the soft limit, which names the cause, and SIGKILL at the hard one, a second later.
fn set_soft(what: &'static str, resource: Resource, wanted: u64) -> Result<(), SandboxError> {
    set_both(what, resource, wanted, wanted + 1)
}

/// Sets both limits, at most to the hard limit that is in force.
fn set_both(what: &'static str, resource: Resource, soft: u64, hard: u64) -> Result<(), SandboxError> {
    let held = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(soft.min(held)), maximum: Some(hard.min(held)) };
    setrlimit(resource, limit).map_err(|error| SandboxError::Limit { what, source: error.into() })
}
