//! What operators see of a pool.

use std::time::SystemTime;

/// How many crashes are kept.
pub(super) const MAX_CRASHES: usize = 5;

/// One crash.
#[derive(Clone, Debug)]
pub struct Crash {
    pub at: SystemTime,
    /// How the process ended.
    pub what: String,
    /// The ids of the requests that were in it.
    pub requests: Vec<String>,
    /// The last of what it wrote.
    pub last_lines: Vec<String>,
}

/// A pool at this moment.
#[derive(Clone, Debug, Default)]
pub struct PoolStatus {
    pub workers: Vec<WorkerStatus>,
    pub waiting: usize,
    /// Whether calls are refused, for the crashes there were.
    pub circuit_open: bool,
    /// What the latest worker said that it cannot do.
    pub missing: Vec<String>,
    pub enforced: Vec<String>,
    pub crashes: Vec<Crash>,
}

/// One worker.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    pub pid: u32,
    pub calls: u64,
    pub seconds: u64,
}
