//! A call of an isolated function, its cancellation handle and its errors.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fezz_runtime::ffi::{CallBody, Reply, ReplyError, RequestSource};
use http::HeaderValue;
use tokio::sync::oneshot;

use super::body::WorkerBody;
use super::worker::Worker;
use crate::protocol::{CANCELLED, CLOSING};

/// Longest body of a call that can be pipelined, in bytes.
const MAX_PIPELINED_BODY: usize = 4 << 10;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The circuit breaker is open.
    #[error("the function's workers crash, so that calls of it are refused for {} ms", .retry_after.as_millis())]
    CircuitOpen {
        /// Time until the next call can be admitted.
        retry_after: Duration,
    },
    /// No worker could be started; the reason.
    #[error("the function's worker could not be started: {0}")]
    NotStarted(String),
    /// The call's deadline has passed before a worker was free, since streams hold them.
    #[error("no worker was free before the deadline, since streams hold them")]
    NotBegun,
    /// The call's deadline has passed.
    #[error("the deadline has passed")]
    Deadline,
    /// The worker ended during the call; how.
    #[error("the function crashed: {0}")]
    Crashed(String),
    /// The function gave no answer that can be sent.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The caller has gone.
    #[error("the caller has gone")]
    Abandoned,
}

/// The caller's handle to cancel its call, wherever it is.
#[derive(Debug, Default)]
pub struct CallHandle {
    abandoned: AtomicBool,
    /// The worker that the call was sent to, and the call's number there.
    sent_to: Mutex<Option<(Arc<Worker>, u32)>>,
}

impl CallHandle {
    /// Cancels the call if it has begun, withdraws it otherwise.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
        if let Some((worker, id)) = &*self.sent_to.lock().unwrap_or_else(PoisonError::into_inner) {
            worker.flag(*id).store(CANCELLED, Ordering::Relaxed);
            worker.claims.withdraw(*id);
        }
    }

    /// Sets the function's flag, which says that its connection should end, without cancelling the call.
    pub fn tell_to_close(&self) {
        if let Some((worker, id)) = &*self.sent_to.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = worker.flag(*id).compare_exchange(0, CLOSING, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The call is about to be sent to this worker, under this number.
    ///
    /// # Errors
    /// If the caller has gone.
    pub(super) fn attach(&self, worker: &Arc<Worker>, id: u32) -> Result<(), CallError> {
        worker.flag(id).store(0, Ordering::Relaxed);
        *self.sent_to.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(worker), id));
        if self.abandoned.load(Ordering::SeqCst) { Err(CallError::Abandoned) } else { Ok(()) }
    }

    /// The call has left its worker.
    pub(super) fn detach(&self) {
        *self.sent_to.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A call that waits for a worker, or is in one.
#[derive(Debug)]
pub struct PendingCall {
    /// The request. It is dropped before the answer is sent, or before the end of a streamed body is, so that what it holds,
    /// such as a permit, is free when the caller has the answer.
    pub source: Box<dyn RequestSource>,
    /// The request's id, for crash reports.
    pub request_id: HeaderValue,
    /// The request's body.
    pub body: CallBody,
    /// Shared with the caller, who cancels by it.
    pub handle: Arc<CallHandle>,
    /// Start of the call, for its duration in statistics.
    pub begin: Instant,
    /// When the call fails with [`CallError::Deadline`].
    pub deadline: Instant,
    /// The longest answer in one piece, in bytes.
    pub max_response: u64,
    /// Receives the answer.
    pub answer: oneshot::Sender<Result<Reply<WorkerBody>, CallError>>,
}

impl PendingCall {
    /// Whether it can be pipelined: its body is complete and short.
    pub(super) fn is_pipelined(&self) -> bool {
        matches!(&self.body, CallBody::Whole(body) if body.len() <= MAX_PIPELINED_BODY)
    }

    /// Whether its caller has gone, or its deadline has passed.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now || self.answer.is_closed()
    }

    /// Sends the outcome to the caller.
    pub(super) fn finish(self, outcome: Result<Reply<WorkerBody>, CallError>) {
        self.handle.detach();
        drop(self.source);
        // Fails if the caller has gone.
        let _ = self.answer.send(outcome);
    }
}
