//! Linux: sealed memory, pidfds, parent-death signals, process names.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};
use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// A closed socket is an error and not a signal.
pub(super) const SEND: SendFlags = SendFlags::NOSIGNAL;
/// Descriptors that arrive are closed on exec.
pub(super) const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// A memfd of this length in bytes, for sharing with other processes. Its size is sealed.
pub(super) fn memory(name: &str, length: usize) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, length as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(fd)
}

/// Makes all later mappings of this memfd read-only.
///
/// # Errors
/// Those of fcntl(2).
pub fn seal_writes(memory: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_add_seals(memory, SealFlags::FUTURE_WRITE | SealFlags::SEAL)?)
}

/// Forbids all further sealing of this memfd.
///
/// # Errors
/// Those of fcntl(2).
pub fn seal(memory: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_add_seals(memory, SealFlags::SEAL)?)
}

/// A pidfd of this child, readable once the child has ended.
///
/// # Errors
/// Those of pidfd_open(2).
pub fn pidfd(child: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(child, PidfdFlags::NONBLOCK)?)
}

/// Has the kernel kill this process when the thread that spawned it ends.
///
/// # Errors
/// Those of prctl(2).
pub fn die_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Spawns a process without transparent huge pages, which cost each worker 6 MiB at its start.
///
/// A program cannot turn them off before its own allocator uses them, so the child inherits the setting: it is off in this
/// process while the child is spawned.
///
/// # Errors
/// Those of starting a process.
pub fn spawn_without_huge_pages(command: &mut Command) -> io::Result<Child> {
    // If this fails, the child only uses more memory.
    let without = transparent_huge_pages_are_disabled().unwrap_or(false);
    let _ = disable_transparent_huge_pages(true);
    let child = command.spawn();
    let _ = disable_transparent_huge_pages(without);
    child
}

/// Sets the name of this thread. The main thread's is that of the process in `ps` and `/proc/PID/comm`.
pub fn set_process_name(name: &CStr) {
    // If this fails, the name is that of the program's file.
    let _ = rustix::thread::set_name(name);
}
