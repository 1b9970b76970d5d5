//! One call of an isolated function, on its way from its caller to the pool.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fezz_runtime::ffi::{CallBody, Reply, ReplyError, RequestSource};
use http::HeaderValue;
use tokio::sync::oneshot;

use super::body::WorkerBody;
use super::worker::Worker;

/// The longest body with which a call is sent ahead of its turn, in bytes.
const MAX_PIPELINED_BODY: usize = 4 << 10;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The circuit breaker is open.
    #[error("the function's workers crash, so that calls of it are refused for {} ms", .retry_after.as_millis())]
    CircuitOpen {
        /// When another try makes sense.
        retry_after: Duration,
    },
    /// No worker could be started; the reason.
    #[error("the function's worker could not be started: {0}")]
    NotStarted(String),
    /// The call's deadline has passed.
    #[error("the deadline has passed")]
    Deadline,
    /// Its worker ended; how.
    #[error("the function crashed: {0}")]
    Crashed(String),
    /// The function gave no answer that can be sent.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The caller has gone.
    #[error("nobody waits for the answer any more")]
    Abandoned,
}

/// By which the caller tells a call, wherever it is, that it has gone.
#[derive(Debug, Default)]
pub struct CallHandle {
    abandoned: AtomicBool,
    place: Mutex<Option<(Arc<Worker>, u32)>>,
}

impl CallHandle {
    /// Cancels a call that has begun, and withdraws one that has not.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
        if let Some((worker, id)) = &*self.place.lock().unwrap_or_else(PoisonError::into_inner) {
            worker.flag(*id).store(1, Ordering::Relaxed);
            worker.claims.withdraw(*id);
        }
    }

    /// The call is about to be sent, under this number.
    pub(super) fn begin(&self, worker: &Arc<Worker>, id: u32) -> Result<(), CallError> {
        worker.flag(id).store(0, Ordering::Relaxed);
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(worker), id));
        if self.abandoned.load(Ordering::SeqCst) { Err(CallError::Abandoned) } else { Ok(()) }
    }

    /// The call is in no worker any more.
    pub(super) fn end(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A call to be made.
#[derive(Debug)]
pub struct PendingCall {
    /// The request. It is dropped before the answer is sent, or with the end of the answer's body: what it holds, such as
    /// a permit, is free when the caller has the answer.
    pub source: Box<dyn RequestSource>,
    /// The request's id, for crash reports.
    pub request_id: HeaderValue,
    /// The request's body.
    pub body: CallBody,
    /// Shared with the caller.
    pub handle: Arc<CallHandle>,
    /// When the call's time began.
    pub begin: Instant,
    /// When it ends.
    pub deadline: Instant,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Reply<WorkerBody>, CallError>>,
}

impl PendingCall {
    /// Whether it may be sent ahead of its turn: its body is complete and short.
    pub(super) fn is_pipelined(&self) -> bool {
        matches!(&self.body, CallBody::Whole(body) if body.len() <= MAX_PIPELINED_BODY)
    }

    /// Whether its caller has gone, or its deadline has passed.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now || self.answer.is_closed()
    }

    /// Answers it.
    pub(super) fn finish(self, outcome: Result<Reply<WorkerBody>, CallError>) {
        self.handle.end();
        drop(self.source);
        // Fails where the caller has gone.
        let _ = self.answer.send(outcome);
    }
}
