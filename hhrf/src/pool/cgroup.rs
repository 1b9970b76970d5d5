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
        Self::below(&own_group()?, memory_bytes, threads)
    }

    fn below(parent: &Path, memory_bytes: u64, threads: u64) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let controllers = fs::read_to_string(parent.join("cgroup.subtree_control"))?;
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
        // Fails where a process has left it late; an empty group costs next to nothing.
        let _ = fs::remove_dir(&self.0);
    }
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
    fn a_group_has_its_limits_and_leaves_with_its_worker() {
        // A folder behaves as the kernel's does, but for what is in a new group.
        let parent = tempfile::tempdir().unwrap();
        let controllers = parent.path().join("cgroup.subtree_control");
        fs::write(&controllers, "cpu pids\n").unwrap();
        assert!(Group::below(parent.path(), 1, 1).unwrap_err().to_string().contains("memory controller"));
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
