//! Linux: sealed memory, pidfds, parent-death signals, process names.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{RecvFlags, SendFlags, sockopt};
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

/// A child that has ended and was not waited for; it stays so.
#[must_use]
pub fn ended_child() -> Option<Pid> {
    // SAFETY: all zeroes is a valid value of this struct.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the struct is valid.
    let found = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) };
    if found != 0 {
        return None;
    }
    // SAFETY: waitid has filled in this field, or left it at zero.
    Pid::from_raw(unsafe { info.si_pid() })
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

/// Has the kernel end a TCP connection whose peer does not acknowledge what was sent for `patience`; one on which nothing is
/// sent is probed after `idle`. The connections that a listener accepts inherit both.
///
/// # Errors
/// Those of setsockopt(2).
pub fn detect_dead_peers(socket: impl AsFd, idle: Duration, patience: Duration) -> io::Result<()> {
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, idle)?;
    sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(&socket, 3)?;
    sockopt::set_tcp_user_timeout(&socket, u32::try_from(patience.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

/// The bytes that were written to a TCP socket and that its peer has not acknowledged (`SIOCOUTQ`).
pub fn unsent(socket: &impl AsFd) -> Option<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open, and the call writes an int.
    let answer =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, std::ptr::from_mut(&mut bytes)) };
    if answer == 0 { usize::try_from(bytes).ok() } else { None }
}
