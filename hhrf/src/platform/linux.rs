//! Linux.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};

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
