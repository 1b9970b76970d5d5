//! A control group (version 2) for each worker, if the host may create them: `memory.max` covers memory that `RLIMIT_DATA`
//! does not, and `cgroup.kill` kills all descendants of the worker, whatever their process group or session.
//!
//! Groups are named `fezz-<process id of the host>-<number>`, so that those of a host that has ended can be found.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::orphans;

/// What the names of workers' groups begin with.
const PREFIX: &str = "fezz-";
/// Time limit for removing a group, which is busy until the kernel has ended its processes.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Poll interval for the removal of a busy group.
const REMOVE_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A worker's group. Dropping it kills the processes in it and removes it.
#[derive(Debug)]
pub(in crate::host) struct Group(PathBuf);

impl Group {
    /// Creates a group below the host's own with these limits.
    ///
    /// # Errors
    /// If the system has no control groups of version 2, or the host's group is not delegated to it.
    pub(in crate::host) fn new(memory_bytes: u64, threads: u64) -> io::Result<Self> {
        Self::below(&delegated(&own_group()?), memory_bytes, threads)
    }

    fn below(parent: &Path, memory_bytes: u64, threads: u64) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if !has_memory_controller(parent) {
            // Fails if the group is not delegated to the host, which the next check notices.
            let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory +pids");
        }
        if !has_memory_controller(parent) {
            return Err(io::Error::other("the memory controller is not on for the host's subgroups"));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let group = Self(parent.join(format!("{PREFIX}{}-{number}", std::process::id())));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join("memory.max"), memory_bytes.to_string())?;
        // Optional: not every kernel has these two.
        let _ = fs::write(group.0.join("memory.swap.max"), "0");
        let _ = fs::write(group.0.join("pids.max"), threads.to_string());
        Ok(group)
    }

    /// Moves a process into the group; its descendants will be in it too.
    pub(in crate::host) fn add(&self, pid: u32) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }

    /// Whether the kernel's OOM killer has killed a process of the group.
    pub(in crate::host) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.is_some_and(|count| count != "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // In the background: it may take seconds. Without a runtime the host is ending.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || end(&path))),
            Err(_) => end(&path),
        }
    }
}

/// Kills all workers, and descendants of workers, of a host that has ended. Blocks, for seconds at most.
///
/// They are found by the control groups of the host's workers, or else by their mark (`RLIMIT_LOCKS`) in `/proc`.
pub fn kill_orphans_of_host(host: u32) {
    let Ok(parent) = own_group().map(|own| delegated(&own)) else { return orphans::kill(host, None) };
    groups_in(&parent).iter().filter(|(_, pid)| *pid == host).for_each(|(path, _)| end(path));
    if !has_memory_controller(&parent) {
        orphans::kill(host, None);
    }
}

/// Kills the orphans of a worker of this host that has ended. Blocks: reads all of `/proc`.
pub(in crate::host) fn kill_orphans_of_worker(worker: u32) {
    orphans::kill(std::process::id(), Some(worker));
}

/// Removes the control groups of hosts that were killed together with their supervisors, which otherwise do it. Blocks,
/// for seconds at most.
pub fn remove_groups_of_dead_hosts() {
    let groups = own_group().map(|own| groups_in(&delegated(&own))).unwrap_or_default();
    groups.iter().filter(|(_, pid)| has_ended(*pid)).for_each(|(path, _)| end(path));
}

fn has_memory_controller(group: &Path) -> bool {
    let controllers = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    controllers.split_whitespace().any(|controller| controller == "memory")
}

/// Whether the process has ended: it does not exist, or is a zombie.
fn has_ended(pid: u32) -> bool {
    let process = i32::try_from(pid).ok().and_then(|pid| procfs::process::Process::new(pid).ok());
    process.and_then(|process| process.stat().ok()).is_none_or(|stat| stat.state == 'Z')
}

/// The workers' groups in this group, with their hosts' process ids.
fn groups_in(parent: &Path) -> Vec<(PathBuf, u32)> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let host = |name: &str| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok();
    entries.filter_map(|entry| Some((entry.path(), host(entry.file_name().to_str()?)?))).collect()
}

/// Kills all processes in a group (Linux 5.14) and removes it.
fn end(group: &Path) {
    let kill = fs::OpenOptions::new().write(true).open(group.join("cgroup.kill"));
    let _ = kill.and_then(|mut kill| io::Write::write_all(&mut kill, b"1"));
    let deadline = Instant::now() + REMOVE_TIMEOUT;
    let is_busy = |error: io::Error| error.kind() == io::ErrorKind::ResourceBusy;
    while fs::remove_dir(group).is_err_and(is_busy) && Instant::now() < deadline {
        std::thread::sleep(REMOVE_POLL_INTERVAL);
    }
}

/// The group in which the host may create others. A group with controllers in its subgroups must not have processes, so
/// with systemd's `DelegateSubgroup=host` the host itself is in a subgroup of it.
fn delegated(own: &Path) -> PathBuf {
    let parent = own.parent().filter(|_| own.file_name().is_some_and(|name| name == "host"));
    parent.unwrap_or(own).to_owned()
}

/// The host's own group, in the hierarchy of version 2.
fn own_group() -> io::Result<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    path.map(|path| Path::new("/sys/fs/cgroup").join(path))
        .ok_or_else(|| io::Error::other("this system has no control groups of version 2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_in_a_subgroup_creates_groups_beside_its_own() {
        assert_eq!(delegated(Path::new("/g/hhrf.service/host")), Path::new("/g/hhrf.service"));
        assert_eq!(delegated(Path::new("/g/hhrf.service")), Path::new("/g/hhrf.service"));
    }

    #[test]
    fn a_group_has_its_limits_and_is_removed_on_drop() {
        // A plain folder stands in for the kernel's.
        let parent = tempfile::tempdir().unwrap();
        let controllers = parent.path().join("cgroup.subtree_control");
        assert!(Group::below(parent.path(), 1, 1).is_err(), "it is not a control group");
        // A plain file holds `+memory` as written, which is not the name of a controller: it counts as refused.
        fs::write(&controllers, "cpu pids\n").unwrap();
        assert!(Group::below(parent.path(), 1, 1).unwrap_err().to_string().contains("memory controller"));
        assert_eq!(fs::read_to_string(&controllers).unwrap(), "+memory +pids");
        fs::write(&controllers, "cpu memory pids\n").unwrap();
        let group = Group::below(parent.path(), 64 << 20, 32).unwrap();
        group.add(7).unwrap();
        let read = |file| fs::read_to_string(group.0.join(file)).unwrap();
        assert_eq!(
            (read("memory.max"), read("pids.max"), read("cgroup.procs")),
            ("67108864".into(), "32".into(), "7".into())
        );
        assert!(!group.ran_out_of_memory());
        for (events, ran_out) in [("oom 2\noom_kill 0\n", false), ("oom 2\noom_kill 1\n", true)] {
            fs::write(group.0.join("memory.events"), events).unwrap();
            assert_eq!(group.ran_out_of_memory(), ran_out, "{events}");
        }
        for file in ["memory.max", "memory.swap.max", "memory.events", "pids.max", "cgroup.procs"] {
            fs::remove_file(group.0.join(file)).unwrap();
        }
        let path = group.0.clone();
        drop(group);
        assert!(!path.exists());
    }

    #[test]
    fn the_host_of_a_group_is_known_by_its_name() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["fezz-12-0", "fezz-12-1", "fezz-7-0", "fezz-x-0", "fezz-9", "host"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let mut hosts: Vec<_> = groups_in(parent.path()).into_iter().map(|(_, host)| host).collect();
        hosts.sort_unstable();
        assert_eq!(hosts, [7, 12, 12]);
    }
}
