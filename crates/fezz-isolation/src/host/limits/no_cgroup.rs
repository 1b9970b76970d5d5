//! Systems other than Linux: no control groups, no workers, no orphans.

use std::io;

/// A control group, of which there is none.
#[derive(Debug)]
pub(in crate::host) enum Group {}

impl Group {
    pub(in crate::host) fn new(_: u64, _: u64) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::host) fn add(&self, _: u32) -> io::Result<()> {
        match *self {}
    }

    pub(in crate::host) fn ran_out_of_memory(&self) -> bool {
        match *self {}
    }
}

/// Does nothing.
pub const fn kill_orphans_of_host(_: u32) {}

/// Does nothing.
pub const fn remove_groups_of_dead_hosts() {}

/// Does nothing.
pub(in crate::host) const fn kill_orphans_of_worker(_: u32) {}
