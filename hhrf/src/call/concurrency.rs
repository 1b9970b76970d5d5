//! The limit of a function's concurrent calls, the queue in front of it, and the refusal of an overloaded function.
//!
//! A call that finds all permits taken waits in the function's queue, first come, first served. A full queue, or a wait of
//! `queue_ms`, ends with a refusal; the wait counts towards the call's deadline. A client that leaves loses its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::CallError;
use crate::function::Function;

/// The least and the most that `Retry-After` says.
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(300);

/// The right to run one call. It belongs to the call and not to the request that waits for it: a client that leaves does
/// not free a thread that is still at work.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Function>);

impl Permit {
    /// A permit, if the function runs fewer calls than it may.
    pub(super) fn try_acquire(function: &Arc<Function>) -> Option<Self> {
        function.calls.try_begin().then(|| Self::begun(function))
    }

    /// A permit, now or after a wait in the queue, until `deadline` at the latest. Dropping the future gives up the place.
    pub(crate) async fn acquire(function: &Arc<Function>, deadline: Instant) -> Result<Self, CallError> {
        if let Some(permit) = Self::try_acquire(function) {
            return Ok(permit);
        }
        let Some(place) = Place::take(function) else {
            function.stats.refused.inc();
            let queued = function.calls.waiting();
            return Err(CallError::Full { queued, again: retry_after(function, Duration::ZERO) });
        };
        let until = deadline.min(place.since + function.limits.queue_wait);
        if timeout_at(until.into(), function.calls.begin()).await.is_ok() {
            return Ok(Self::begun(function));
        }
        function.stats.refused.inc();
        let waited = place.since.elapsed();
        Err(CallError::QueuedTooLong { waited, again: retry_after(function, waited) })
    }

    fn begun(function: &Arc<Function>) -> Self {
        function.stats.in_flight.inc();
        Self(Arc::clone(function))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.stats.in_flight.dec();
        self.0.calls.end();
    }
}

/// A place in a function's queue.
struct Place<'f> {
    function: &'f Function,
    since: Instant,
}

impl<'f> Place<'f> {
    /// None if the queue is full.
    fn take(function: &'f Function) -> Option<Self> {
        function.calls.queue(function.limits.max_queue()).then(|| {
            function.stats.queued.inc();
            Self { function, since: Instant::now() }
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Self { function: Function { calls, stats, .. }, since } = self;
        calls.leave_queue();
        stats.queued.dec();
        stats.queue_wait.observe(since.elapsed().as_secs_f64());
    }
}

/// When a call is likely to find room: after those that wait now, at the pace of the latest calls; no sooner than a call
/// that has waited in vain for `waited`.
fn retry_after(function: &Function, waited: Duration) -> Duration {
    let rounds = 1 + function.calls.waiting() / function.limits.max_concurrency;
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    let expected = function.stats.mean_call().saturating_mul(rounds).max(waited);
    expected.clamp(MIN_RETRY, MAX_RETRY)
}

/// An error if too many running calls of the function have lost their callers.
pub(super) fn check_overload(function: &Function, abandoned_max: usize) -> Result<(), CallError> {
    match function.calls.overload(abandoned_max) {
        Some(abandoned) => Err(CallError::Overloaded { abandoned }),
        None => Ok(()),
    }
}
