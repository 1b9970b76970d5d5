//! Resource usage of a process, from `/proc`.

use std::io;

/// Resource usage of one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) threads: u64,
    /// Resident memory, in bytes.
    pub(super) resident_bytes: u64,
    /// User and system time, in seconds.
    pub(super) cpu_seconds: u64,
}

impl Usage {
    #[cfg(target_os = "linux")]
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
        let stat = stat.map_err(io::Error::other)?;
        let ticks = procfs::ticks_per_second().max(1);
        Ok(Self {
            threads: u64::try_from(stat.num_threads).unwrap_or_default(),
            resident_bytes: stat.rss * procfs::page_size(),
            cpu_seconds: (stat.utime + stat.stime) / ticks,
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_this_process_is_read() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.threads >= 1 && usage.resident_bytes > 1 << 16, "{usage:?}");
    }
}
