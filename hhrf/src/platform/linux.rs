//! Linux.

mod strays;

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};
use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

pub(crate) use strays::{kill_strays, mark};

/// A closed socket is an error, and no signal.
pub(crate) const SEND: SendFlags = SendFlags::NOSIGNAL;
/// No program that is started later gets the descriptors that arrive.
pub(crate) const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// New memory, as zeroes, that other processes can map. Its size is sealed.
pub(crate) fn memory(name: &str, length: usize) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, length as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(fd)
}

/// From here on, whoever maps this memory anew can only read it.
pub(crate) fn seal_writes(memory: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_add_seals(memory, SealFlags::FUTURE_WRITE | SealFlags::SEAL)?)
}

/// A descriptor that can be read once this child has ended.
pub(crate) fn end_of(child: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(child, PidfdFlags::NONBLOCK)?)
}

/// Ends this process when the thread ends that started it.
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Starts a process that gets no huge pages: it would have three of them, 6 MiB to be zeroed and kept, before it does
/// anything. A program cannot turn them off for itself before its allocator has taken the first, and so it inherits this;
/// the host goes without for as long as the start takes.
pub(crate) fn spawn_small(command: &mut Command) -> io::Result<Child> {
    // Where that is not to be had, the process is larger and works as well.
    let without = transparent_huge_pages_are_disabled().unwrap_or(false);
    let _ = disable_transparent_huge_pages(true);
    let child = command.spawn();
    let _ = disable_transparent_huge_pages(without);
    child
}
