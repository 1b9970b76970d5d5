//! What operators see of a pool.

use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use super::pool::Pool;

/// How many crashes are kept.
pub(super) const KEPT: usize = 5;

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
    pub resting: bool,
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

impl Pool {
    pub fn status(&self) -> PoolStatus {
        let state = self.lock();
        let now = Instant::now();
        let enforced = state
            .workers
            .last()
            .map(|worker| worker.enforced.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default();
        let workers = state.workers.iter().map(|worker| WorkerStatus {
            pid: worker.id(),
            calls: worker.calls(),
            seconds: now.duration_since(worker.started()).as_secs(),
        });
        PoolStatus {
            workers: workers.collect(),
            waiting: state.waiting.iter().filter(|request| !request.answer.is_closed()).count(),
            resting: state.health.is_open(),
            missing: enforced.missing,
            enforced: enforced.parts,
            crashes: state.crashes.iter().cloned().collect(),
        }
    }
}
