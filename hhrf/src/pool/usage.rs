//! What a process uses, as the kernel tells it.

use std::io;

/// One reading of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) threads: u64,
    pub(super) resident_bytes: u64,
    pub(super) cpu_seconds: u64,
}

impl Usage {
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&stat, rustix::param::page_size() as u64, rustix::param::clock_ticks_per_second())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// The name of the process may hold anything, so that the fields are counted from behind it.
    fn parse(stat: &str, page: u64, ticks: u64) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(") ")?;
        let field = |number: usize| fields.split(' ').nth(number - 3)?.parse::<u64>().ok();
        let cpu = field(14)? + field(15)?;
        Some(Self { threads: field(20)?, resident_bytes: field(24)? * page, cpu_seconds: cpu / ticks.max(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let stat =
            "42 (a ) b (c) S 1 42 42 0 -1 4194560 99 0 0 0 150 50 0 0 20 0 7 0 123 10000000 300 18446744073";
        let usage = Usage::parse(stat, 4096, 100).unwrap();
        assert_eq!(usage, Usage { threads: 7, resident_bytes: 300 * 4096, cpu_seconds: 2 });
        assert_eq!(Usage::parse("42 (cut", 4096, 100), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.threads >= 1 && usage.resident_bytes > 1 << 16, "{usage:?}");
    }
}
