//! One call of an isolated function, from whoever waits for it to the pool.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::Body;
use tokio::sync::oneshot;

use super::worker::Worker;
use super::{Inner, Pool};
use crate::ffi::{CallBody, CallParts, Reply, ReplyError};
use crate::invoke::Permit;

/// A body up to this size lets a call be sent ahead of its turn.
const SHORT_BODY: usize = 4 << 10;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the function's workers crash, so that calls of it are refused for {} ms", .again.as_millis())]
    Resting { again: std::time::Duration },
    #[error("the function's worker could not be started: {0}")]
    NotStarted(String),
    #[error("the deadline has passed")]
    Deadline,
    #[error("the function crashed: {0}")]
    Crashed(String),
    #[error(transparent)]
    Reply(#[from] ReplyError),
    #[error("nobody waits for the answer any more")]
    Abandoned,
}

/// By which the side that waits for a call tells it that nobody waits any more, wherever it is.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    abandoned: AtomicBool,
    place: Mutex<Option<(Arc<Worker>, u32)>>,
}

impl Ticket {
    /// The call that has begun is told; one that has not is not made.
    pub(crate) fn abandon(&self) {
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
pub(crate) struct Request {
    pub(crate) parts: CallParts,
    pub(crate) body: CallBody,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) begin: Instant,
    pub(crate) deadline: Instant,
    /// Given back before the answer goes out, or with the end of its body.
    pub(crate) permit: Permit,
    pub(crate) answer: Answer,
}

/// Where an answer goes.
pub(crate) type Answer = oneshot::Sender<Result<Reply<Body>, CallError>>;

impl Request {
    /// Whether it may be sent ahead of its turn: all of it is here, and is little.
    pub(super) fn is_short(&self) -> bool {
        matches!(&self.body, CallBody::Whole(body) if body.len() <= SHORT_BODY)
    }

    /// Whether nobody waits for its answer, or not for long enough.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now || self.answer.is_closed()
    }

    /// Ends it.
    pub(super) fn finish(self, outcome: Result<Reply<Body>, CallError>) {
        self.ticket.end();
        drop(self.permit);
        // Nobody waits any more, or is told.
        let _ = self.answer.send(outcome);
    }
}

impl Pool {
    /// Whether the function reads request bodies as streams. Only a worker knows: the first call waits for one.
    pub(crate) async fn streams_bodies(&self, deadline: Instant) -> Result<bool, CallError> {
        if let Some(known) = self.0.streams_bodies.get() {
            return Ok(*known);
        }
        let (sender, told) = oneshot::channel();
        {
            let mut state = self.0.lock();
            state.admit(Instant::now())?;
            state.curious.push(sender);
            self.0.balance(&mut state);
        }
        match tokio::time::timeout_at(deadline.into(), told).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::NotStarted("the function is being replaced".to_owned())),
            Err(_) => Err(CallError::Deadline),
        }
    }

    /// Answers the calls whose deadline has passed while they waited for their turn.
    pub(crate) fn expire(&self) {
        self.0.lock().expire(Instant::now());
    }

    /// Makes a call, at once or when its turn has come. The body of its answer is sent for as long as that takes.
    pub(crate) fn submit(&self, request: Request) {
        let mut state = self.0.lock();
        if let Err(error) = state.admit(Instant::now()) {
            drop(state);
            return request.finish(Err(error));
        }
        state.waiting.push_back(request);
        self.0.dispatch(&mut state);
        self.0.balance(&mut state);
    }
}

impl Inner {
    /// Hands calls that wait to slots that are idle.
    pub(super) fn dispatch(self: &Arc<Self>, state: &mut super::State) {
        while !state.waiting.is_empty()
            && let Some(slot) = state.take()
        {
            let Some(request) = state.next(Instant::now()) else { return state.rest(slot) };
            tokio::spawn(super::drive::Drive::new(Arc::clone(self), slot).run(request));
        }
    }
}
