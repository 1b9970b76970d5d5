//! Orphaned descendants of workers: processes that left their worker's process group (`setsid`), so that killing the
//! group does not reach them.
//!
//! A worker marks itself with `RLIMIT_LOCKS`, a limit that Linux stores and does not use. Its descendants inherit the
//! mark and keep it through `fork`, `exec` and `setsid`, even with another parent. A process without privileges cannot
//! raise the limit again. No other process has such a mark.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use procfs::process::{LimitValue, Process, all_processes};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, pidfd_open, pidfd_send_signal, setrlimit,
};

/// Time limit for killing orphans that keep starting new processes.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Marks this process and its future descendants as a worker of the host with this process id.
pub(crate) fn mark(host: u32) -> io::Result<()> {
    let mark = Some(marked(host, std::process::id()));
    let held = getrlimit(Resource::Locks).maximum;
    if held.is_some_and(|held| Some(held) < mark) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(setrlimit(Resource::Locks, Rlimit { current: mark, maximum: mark })?)
}

/// Kills the orphans of one ended worker, or of all workers of this host if `worker` is `None`. The kernel uses all other
/// process ids before it assigns the worker's again.
pub(crate) fn kill(host: u32, worker: Option<u32>) {
    let is_one = |mark: u64| match worker {
        Some(worker) => mark == marked(host, worker),
        None => mark >> 32 == u64::from(host),
    };
    let deadline = Instant::now() + KILL_TIMEOUT;
    let mut killed = HashSet::new();
    // Until a scan finds none that is new: each may have started another before it was killed.
    while kill_once(is_one, &mut killed) && Instant::now() < deadline {}
}

/// One scan of `/proc`; whether it killed any process that was not killed before.
fn kill_once(is_one: impl Fn(u64) -> bool, killed: &mut HashSet<Pid>) -> bool {
    let before = killed.len();
    for process in all_processes().into_iter().flatten().flatten() {
        let Some(pid) = Pid::from_raw(process.pid) else { continue };
        // Opened before the mark is read: the pidfd stays that process's own if the number is reused.
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        if mark_of(&process).is_some_and(&is_one) && killed.insert(pid) {
            // Fails only if it has ended already.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
    }
    killed.len() > before
}

fn mark_of(process: &Process) -> Option<u64> {
    match process.limits().ok()?.max_file_locks.hard_limit {
        LimitValue::Value(mark) => Some(mark),
        LimitValue::Unlimited => None,
    }
}

fn marked(host: u32, worker: u32) -> u64 {
    u64::from(host) << 32 | u64::from(worker)
}
