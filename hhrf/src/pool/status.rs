//! What operators see of a pool.

use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use super::Pool;

/// How many crashes are kept.
pub(super) const KEPT: usize = 5;

/// One crash.
#[derive(Clone, Debug)]
pub(crate) struct Crash {
    pub(crate) at: SystemTime,
    /// How the process ended.
    pub(crate) what: String,
    /// The ids of the requests that were in it.
    pub(crate) requests: Vec<String>,
    /// The last of what it wrote.
    pub(crate) last_lines: Vec<String>,
}

/// A pool at this moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolStatus {
    pub(crate) workers: Vec<WorkerStatus>,
    pub(crate) waiting: usize,
    /// Whether calls are refused, for the crashes there were.
    pub(crate) resting: bool,
    /// What the latest worker said that it cannot do.
    pub(crate) missing: Vec<String>,
    pub(crate) enforced: Vec<String>,
    pub(crate) crashes: Vec<Crash>,
}

/// One worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerStatus {
    pub(crate) pid: u32,
    pub(crate) calls: u64,
    pub(crate) seconds: u64,
}

impl Pool {
    pub(crate) fn status(&self) -> PoolStatus {
        let state = self.0.lock();
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
