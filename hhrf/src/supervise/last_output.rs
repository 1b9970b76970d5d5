//! What a serving process has printed and not passed on when it ended.
//!
//! Its functions print to pipes that it reads itself, see [`crate::logging`]. One that crashes leaves its last words there,
//! which are most likely about the crash. The pipes stay open as long as the supervisor holds them.

use std::fs::{File, read_link};
use std::io::Read;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::Pid;

use crate::logging;

/// The most that is passed on: as much as a pipe holds.
const MOST: u64 = 64 << 10;

/// The pipes behind the standard output and error of a process.
#[derive(Debug)]
pub(super) struct LastOutput(Vec<File>);

impl LastOutput {
    /// Those of a process that is ready, as far as it has replaced its own; reading from others would steal.
    pub(super) fn of(pid: Pid) -> Self {
        let pipe = |fd: u32| {
            let theirs = format!("/proc/{}/fd/{fd}", pid.as_raw_pid());
            let target = read_link(&theirs).ok()?;
            let is_pipe = target.to_string_lossy().starts_with("pipe:");
            let is_own =
                [1, 2].map(|own| read_link(format!("/proc/self/fd/{own}")).ok()).contains(&Some(target));
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            (is_pipe && !is_own).then(|| open(&theirs, flags, Mode::empty()).ok())?.map(File::from)
        };
        Self([1, 2].into_iter().filter_map(pipe).collect())
    }

    /// Passes on what is in them. The process must have ended.
    pub(super) fn pass_on(self) {
        for pipe in self.0 {
            let mut left = Vec::new();
            // Ends with an error where other processes still hold the pipe.
            let _ = pipe.take(MOST).read_to_end(&mut left);
            if !left.is_empty() && !left.ends_with(b"\n") {
                left.push(b'\n');
            }
            logging::pass_on(&left);
        }
    }
}
