//! A worker's process: waiting for its end, and killing it together with its process group.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fezz_runtime::sys::{pidfd, wait_on};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::unix::AsyncFd;

use super::limits;

/// A child process that leads its own process group.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// `None` once it was waited for: its id may then be reused.
    child: Mutex<Option<Child>>,
    /// Readable once the process has ended.
    ended: AsyncFd<OwnedFd>,
    /// Whether it may start processes that leave its process group, without a control group to find them by.
    may_leave_orphans: bool,
}

impl Process {
    /// Must be called within a tokio runtime.
    pub(super) fn new(child: Child, may_leave_orphans: bool) -> io::Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        let ended = wait_on(pidfd(pid)?)?;
        Ok(Self { pid, child: Mutex::new(Some(child)), ended, may_leave_orphans })
    }

    pub(super) const fn id(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// Kills the process and its group.
    pub(super) fn kill(&self) {
        if self.lock().is_some() {
            // Fails only if it has ended already.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Waits for its end, then kills what is left of its group.
    pub(super) async fn wait(&self) -> io::Result<ExitStatus> {
        let _ = self.ended.readable().await?;
        let mut child = self.lock();
        // Before the child is reaped: until then its id, and so the group's, is not reused.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let mut child = child.take().ok_or_else(|| io::Error::other("its end was seen before"))?;
        if self.may_leave_orphans {
            let worker = self.id();
            // In the background: reading all of /proc takes a while.
            tokio::task::spawn_blocking(move || limits::kill_orphans_of_worker(worker));
        }
        child.wait()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Does something only if it was not waited for: the host is ending.
        self.kill();
    }
}

/// How a process ended, in words: its exit status, or the signal that killed it.
pub fn describe(status: ExitStatus) -> String {
    status.signal().map_or_else(
        || status.code().map_or_else(|| status.to_string(), |code| format!("exited with status {code}")),
        |signal| format!("killed by signal {signal} ({})", signal_name(signal)),
    )
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => "another one",
    }
}
