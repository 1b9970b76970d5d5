//! Resource limits that the host enforces: the worker's control group, if any, and polling of its usage.

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

/// A worker's resource usage compared with its limits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Below all limits.
    WithinLimits,
    /// Near a limit: the worker is replaced after its current calls.
    NearLimit,
    /// Over a limit, in words: the worker is killed.
    OverLimit(String),
}

/// Compares a worker's resource usage with its limits.
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
