//! The clock of a probe: what it is kept from its core does not count.
//!
//! A time limit by the wall alone refuses good libraries on a busy machine; one by processor time alone never ends a
//! probe that hangs. So the time counts in which the probe ran, or rested by itself, and not that in which its threads
//! waited for a core.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A probe that rests for this long does not need a core to itself.
const RESTS: Duration = Duration::from_millis(200);
/// However busy the machine is, a probe gets no more than this many times its limit.
const WALL_FACTOR: u32 = 10;

/// What one thread has used and waited for.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    ran: Duration,
    waited: Duration,
}

/// The clock of one process.
#[derive(Debug)]
pub(super) struct ProbeClock {
    pid: Option<u32>,
    limit: Duration,
    begun: Instant,
    /// By thread; what those have used that have ended still counts.
    threads: HashMap<u32, Usage>,
    /// When it was last seen to have run or waited, and how much it had by then.
    busy: (Instant, Duration),
}

impl ProbeClock {
    pub(super) fn start(pid: Option<u32>, limit: Duration) -> Self {
        let now = Instant::now();
        Self { pid, limit, begun: now, threads: HashMap::new(), busy: (now, Duration::ZERO) }
    }

    /// Takes a reading.
    pub(super) fn read(&mut self) {
        if let Some(pid) = self.pid {
            self.threads.extend(threads(pid));
        }
        let active = self.ran() + self.waited();
        if active > self.busy.1 + RESTS / 20 {
            self.busy = (Instant::now(), active);
        }
    }

    fn ran(&self) -> Duration {
        self.threads.values().map(|usage| usage.ran).sum()
    }

    fn waited(&self) -> Duration {
        self.threads.values().map(|usage| usage.waited).sum()
    }

    /// Whether the limit has passed.
    pub(super) fn is_over(&self) -> bool {
        let wall = self.begun.elapsed();
        wall.saturating_sub(self.waited()) >= self.limit || wall >= self.limit * WALL_FACTOR
    }

    /// Whether it does nothing, so that another probe can have its core.
    pub(super) fn rests(&self) -> bool {
        self.busy.0.elapsed() >= RESTS
    }
}

/// The threads of a process, from `/proc/PID/task/TID/schedstat`; none where the system has no such thing.
fn threads(pid: u32) -> Vec<(u32, Usage)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let usage = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let mut nanos = text.split_whitespace().map(|field| field.parse().map(Duration::from_nanos));
        let usage = Usage { ran: nanos.next()?.ok()?, waited: nanos.next()?.ok()? };
        Some((task.file_name().to_str()?.parse().ok()?, usage))
    };
    tasks.flatten().filter_map(usage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(wall: u64, ran: u64, waited: u64) -> ProbeClock {
        let mut clock = ProbeClock::start(None, Duration::from_secs(2));
        clock.begun =
            Instant::now().checked_sub(Duration::from_secs(wall)).expect("the machine is up for longer");
        clock.threads.insert(1, Usage { ran: Duration::from_secs(ran), waited: Duration::from_secs(waited) });
        clock
    }

    #[test]
    fn time_without_a_core_does_not_count() {
        assert!(!clock(1, 0, 0).is_over(), "it hangs, but not for long enough");
        assert!(clock(2, 0, 0).is_over(), "it hangs");
        assert!(clock(3, 3, 0).is_over(), "it computes");
        assert!(!clock(8, 1, 7).is_over(), "it would compute, if it were let");
        assert!(clock(20, 1, 19).is_over(), "for how long is one to wait?");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_used_some_time() {
        let mut clock = ProbeClock::start(Some(std::process::id()), Duration::from_secs(1));
        clock.read();
        assert!(clock.ran() > Duration::ZERO, "{clock:?}");
    }
}
