//! Other systems, macOS among them.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use rustix::net::{RecvFlags, SendFlags};
use rustix::process::Pid;

pub(crate) const SEND: SendFlags = SendFlags::empty();
pub(crate) const RECEIVE: RecvFlags = RecvFlags::empty();

pub(crate) fn memory(_: &str, _: usize) -> io::Result<OwnedFd> {
    Err(lacking("memory whose size is sealed"))
}

pub(crate) fn seal_writes(_: &OwnedFd) -> io::Result<()> {
    Err(lacking("memory that others can only read"))
}

pub(crate) fn end_of(_: Pid) -> io::Result<OwnedFd> {
    Err(lacking("descriptors of processes"))
}

pub(crate) fn die_with_parent() -> io::Result<()> {
    Err(lacking("children that die with their parent"))
}

/// There are no workers that could leave any.
pub(crate) const fn kill_strays(_: u32, _: Option<u32>) {}

pub(crate) fn spawn_small(command: &mut Command) -> io::Result<Child> {
    command.spawn()
}

fn lacking(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what}: only Linux has that"))
}
