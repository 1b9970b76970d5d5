//! What this process uses, and what it may use: none where the system does not tell.

use std::fs::{self, File};
use std::io::Read;

/// The number of memory maps.
pub(super) fn maps() -> Option<u64> {
    let mut file = File::open("/proc/self/maps").ok()?;
    let (mut buffer, mut lines) = (vec![0; 64 << 10], 0);
    loop {
        let read = file.read(&mut buffer).ok()?;
        if read == 0 {
            return Some(lines);
        }
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

pub(super) fn maps_max() -> Option<u64> {
    number("/proc/sys/vm/max_map_count")
}

/// Resident memory in bytes.
pub(super) fn memory() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The machine's memory in bytes, or that of this process's control group if that is less.
pub(super) fn memory_max() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = total.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10;
    Some(group_max().map_or(total, |max| max.min(total)))
}

/// `memory.max` of the control group (version 2); none if it has none.
fn group_max() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    number(&format!("/sys/fs/cgroup{own}/memory.max"))
}

fn number(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
