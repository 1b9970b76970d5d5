//! Systems other than Linux: what they lack fails with a clear error.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use rustix::process::Pid;

pub(super) const SEND: SendFlags = SendFlags::empty();
pub(super) const RECEIVE: RecvFlags = RecvFlags::empty();

pub(super) fn memory(_: &str, _: usize) -> io::Result<OwnedFd> {
    Err(lacking("memory whose size is sealed"))
}

/// Refused.
///
/// # Errors
/// Always: only Linux has it.
pub fn seal_writes(_: &OwnedFd) -> io::Result<()> {
    Err(lacking("memory that others can only read"))
}

/// Refused.
///
/// # Errors
/// Always: only Linux has it.
pub fn seal(_: &OwnedFd) -> io::Result<()> {
    Err(lacking("memory that is sealed"))
}

/// Refused.
///
/// # Errors
/// Always: only Linux has it.
pub fn pidfd(_: Pid) -> io::Result<OwnedFd> {
    Err(lacking("descriptors of processes"))
}

/// None: there is no supervisor that would ask.
#[must_use]
pub const fn ended_child() -> Option<Pid> {
    None
}

/// Refused.
///
/// # Errors
/// Always: only Linux has it.
pub fn die_with_parent() -> io::Result<()> {
    Err(lacking("children that die with their parent"))
}

/// Starts a process.
///
/// # Errors
/// Those of starting a process.
pub fn spawn_without_huge_pages(command: &mut Command) -> io::Result<Child> {
    command.spawn()
}

/// Does nothing: implemented for Linux only.
pub const fn set_process_name(_: &CStr) {}

fn lacking(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what}: only Linux has that"))
}

/// Refused.
///
/// # Errors
/// Always.
pub fn detect_dead_peers(_: impl AsFd, _: Duration, _: Duration) -> io::Result<()> {
    Err(lacking("TCP_USER_TIMEOUT"))
}

/// Unknown.
pub const fn unsent(_: &impl AsFd) -> Option<usize> {
    None
}
