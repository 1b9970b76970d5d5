//! The status of a pool, for operators.

use std::time::SystemTime;

/// Number of latest crashes that are kept.
pub(super) const MAX_CRASHES: usize = 5;

/// A crash of a worker, or a failed start.
#[derive(Clone, Debug)]
pub struct Crash {
    /// When it was noticed.
    pub at: SystemTime,
    /// How the process ended.
    pub what: String,
    /// The ids of the requests that the worker had begun.
    pub requests: Vec<String>,
    /// The last lines that it wrote to its standard output and error.
    pub last_lines: Vec<String>,
}

/// A snapshot of a pool.
#[derive(Clone, Debug, Default)]
pub struct PoolStatus {
    /// The running workers.
    pub workers: Vec<WorkerStatus>,
    /// Number of queued calls whose caller still waits.
    pub waiting: usize,
    /// Whether the circuit breaker is open: calls are refused after too many crashes.
    pub circuit_open: bool,
    /// Restrictions that the latest worker could not put in force.
    pub missing: Vec<String>,
    /// Restrictions that it has put in force.
    pub enforced: Vec<String>,
    /// The latest crashes, newest first.
    pub crashes: Vec<Crash>,
}

/// A running worker.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// Its process id.
    pub pid: u32,
    /// Number of calls that were sent to it.
    pub calls: u64,
    /// Seconds since it was started.
    pub seconds: u64,
}
