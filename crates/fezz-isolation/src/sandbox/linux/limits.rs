//! Limits that the kernel keeps for a process.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{ProcessLimits, SandboxError};

pub(super) fn apply(limits: &ProcessLimits) -> Result<(), SandboxError> {
    // Where it is refused the worker costs others time, and nothing else.
    let _ = rustix::process::nice(limits.nice.into());
    // Beside what the worker has already: its allocator has claimed room that it may never use.
    let own = data_bytes().map_err(|source| SandboxError::Limit { what: "data", source })?;
    set("data", Resource::Data, own + limits.memory_bytes)?;
    set("open files", Resource::Nofile, limits.open_files)?;
    set_soft("CPU time", Resource::Cpu, limits.cpu_seconds)?;
    set("file size", Resource::Fsize, limits.file_bytes)?;
    // A dump of memory would take its time, and hold secrets.
    set("core dumps", Resource::Core, 0)
}

/// The memory of this process that counts as data, in bytes.
fn data_bytes() -> io::Result<u64> {
    let statm = procfs::process::Process::myself().and_then(|process| process.statm());
    statm.map(|statm| statm.data * procfs::page_size()).map_err(io::Error::other)
}

fn set(what: &'static str, resource: Resource, wanted: u64) -> Result<(), SandboxError> {
    set_both(what, resource, wanted, wanted)
}

/// The signal that says which limit was passed comes at the soft one; the hard one, a second later, is SIGKILL.
fn set_soft(what: &'static str, resource: Resource, wanted: u64) -> Result<(), SandboxError> {
    set_both(what, resource, wanted, wanted + 1)
}

/// Never more than what holds already.
fn set_both(what: &'static str, resource: Resource, soft: u64, hard: u64) -> Result<(), SandboxError> {
    let held = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(soft.min(held)), maximum: Some(hard.min(held)) };
    setrlimit(resource, limit).map_err(|error| SandboxError::Limit { what, source: error.into() })
}
