//! What a worker may use: its control group if the host can make one, and what the host measures by itself.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(not(target_os = "linux"))]
#[path = "no_cgroup.rs"]
mod cgroup;
mod usage;

pub(super) use cgroup::{Group, kill_orphans_of_worker};
pub use cgroup::{kill_orphans_of_host, remove_groups_of_dead_hosts};

use super::plan::Plan;
use usage::Usage;

/// What a worker's resource usage calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    WithinLimits,
    /// It is near a limit: it is replaced after its calls.
    NearLimit,
    /// It is over a limit, which this names: it is killed.
    OverLimit(String),
}

/// Compares what a worker uses with what it may use.
pub(super) fn check(worker: u32, plan: &Plan) -> Verdict {
    let Ok(usage) = Usage::of(worker) else { return Verdict::WithinLimits };
    let limit = plan.limits.memory_bytes;
    if usage.resident_bytes > limit {
        let used = usage.resident_bytes;
        return Verdict::OverLimit(format!("{used} bytes of memory are in use, {limit} are allowed"));
    }
    if usage.threads > plan.threads {
        let (used, limit) = (usage.threads, plan.threads);
        return Verdict::OverLimit(format!("{used} threads are running, {limit} are allowed"));
    }
    if usage.resident_bytes > limit / 10 * 8 || usage.cpu_seconds * 2 >= plan.limits.cpu_seconds {
        return Verdict::NearLimit;
    }
    Verdict::WithinLimits
}
