//! A control group for a worker, where the host may make one: `memory.max` counts all that `RLIMIT_DATA` does not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// One worker's group; removed when the worker is gone.
#[derive(Debug)]
pub(super) struct Group(PathBuf);

impl Group {
    /// A group below the host's own in which no more than this may be used, if this system lets the host make one.
    pub(super) fn new(memory_bytes: u64, threads: u64) -> io::Result<Self> {
        Self::below(&delegated(&own_group()?), memory_bytes, threads)
    }

    fn below(parent: &Path, memory_bytes: u64, threads: u64) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let control = parent.join("cgroup.subtree_control");
        let mut controllers = fs::read_to_string(&control)?;
        if !controllers.contains("memory") && fs::write(&control, "+memory +pids").is_ok() {
            controllers = fs::read_to_string(&control)?;
        }
        if !controllers.split_whitespace().any(|controller| controller == "memory") {
            return Err(io::Error::other("the memory controller is not on for the host's subgroups"));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let group = Self(parent.join(format!("fezz-{}-{number}", std::process::id())));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join("memory.max"), memory_bytes.to_string())?;
        // Nothing is worse for these not being there: threads are counted by the host too.
        let _ = fs::write(group.0.join("memory.swap.max"), "0");
        let _ = fs::write(group.0.join("pids.max"), threads.to_string());
        Ok(group)
    }

    /// Puts a process, and whatever it starts, into the group.
    pub(super) fn add(&self, pid: u32) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What the worker has started, whichever process group or session it is in (Linux 5.14).
        let kill = fs::OpenOptions::new().write(true).open(self.0.join("cgroup.kill"));
        let _ = kill.and_then(|mut kill| io::Write::write_all(&mut kill, b"1"));
        // Fails where a process has left it late; an empty group costs next to nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The group in which the host may make others. With systemd's `DelegateSubgroup=host` the host's own is one of them: a
/// group has either processes or groups with controllers.
fn delegated(own: &Path) -> PathBuf {
    let parent = own.parent().filter(|_| own.file_name().is_some_and(|name| name == "host"));
    parent.unwrap_or(own).to_owned()
}

/// The host's group in the one hierarchy of version 2.
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
    fn the_hosts_own_subgroup_is_beside_its_workers() {
        assert_eq!(delegated(Path::new("/g/hhrf.service/host")), Path::new("/g/hhrf.service"));
        assert_eq!(delegated(Path::new("/g/hhrf.service")), Path::new("/g/hhrf.service"));
    }

    #[test]
    fn a_group_has_its_limits_and_leaves_with_its_worker() {
        // A folder behaves as the kernel's does, but for what is in a new group.
        let parent = tempfile::tempdir().unwrap();
        let controllers = parent.path().join("cgroup.subtree_control");
        assert!(Group::below(parent.path(), 1, 1).is_err(), "it is no group");
        // What the kernel would not turn on stays off: a file takes it as it is written, so that it is not whole words.
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
        for file in ["memory.max", "memory.swap.max", "pids.max", "cgroup.procs"] {
            fs::remove_file(group.0.join(file)).unwrap();
        }
        let path = group.0.clone();
        drop(group);
        assert!(!path.exists());
    }
}
