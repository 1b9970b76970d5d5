//! One call of an isolated function: a slot is found, the call made in it, and the slot given back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::slot::{Answered, ExchangeError, Slot};
use super::streaming::Streaming;
use super::worker::{Kill, Worker};
use super::{Inner, Pool, describe, upload};
use crate::ffi::{CallBody, CallParts, Reply, ReplyError};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the function's workers crash, so that calls of it are refused for {} ms", .again.as_millis())]
    Resting { again: Duration },
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
        }
    }

    fn begin(&self, worker: &Arc<Worker>, id: u32) -> Result<(), CallError> {
        worker.flag(id).store(0, Ordering::Relaxed);
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(worker), id));
        if self.abandoned.load(Ordering::SeqCst) { Err(CallError::Abandoned) } else { Ok(()) }
    }

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
}

/// Where an answer goes.
pub(crate) type Answer = oneshot::Sender<Result<Reply<Body>, CallError>>;

impl Pool {
    /// Whether the function reads request bodies as streams. Only a worker knows: the first call waits for one.
    pub(crate) async fn streams_bodies(&self, deadline: Instant) -> Result<bool, CallError> {
        if let Some(known) = self.0.streams_bodies.get() {
            return Ok(*known);
        }
        let slot = self.0.acquire(deadline).await?;
        let streams = slot.worker.streams_bodies();
        self.0.give_back(slot, false);
        Ok(*self.0.streams_bodies.get_or_init(|| streams))
    }

    /// Makes one call and answers it, until its deadline at the latest; and sends the body of its answer for as long as
    /// that takes. The permit is given back before the answer goes out, or with the end of the body.
    pub(crate) async fn call(self: Arc<Self>, request: Request, permit: impl Send, answer: Answer) {
        let Request { parts, mut body, ticket, begin, deadline } = request;
        let inner = &self.0;
        let outcome = loop {
            let slot = match inner.acquire(deadline).await {
                Ok(slot) => slot,
                Err(error) => break Err(error),
            };
            match inner.make(slot, &parts, body, &ticket, begin, deadline).await {
                Err(Failed::Unsent(again)) => body = again,
                Err(Failed::Call(error)) => break Err(error),
                Ok(made) => break Ok(made),
            }
        };
        match outcome {
            Ok(Made::Whole(reply)) => {
                drop(permit);
                let body = |body: Bytes| if body.is_empty() { Body::empty() } else { Body::from(body) };
                // Nobody waits any more, or is told.
                let _ = answer.send(Ok(reply.map(body)));
            }
            Ok(Made::Streams(reply, streaming)) => {
                let (sender, body) = Streaming::channel();
                let reply = reply.map(|()| Body::new(body));
                let _ = answer.send(Ok(reply));
                streaming.run(inner, &parts, &ticket, sender).await;
                drop(permit);
            }
            Err(error) => {
                drop(permit);
                let _ = answer.send(Err(error));
            }
        }
    }
}

/// A call that has an answer.
enum Made {
    Whole(Reply<Bytes>),
    Streams(Reply<()>, Streaming),
}

/// A call that has none.
enum Failed {
    /// Nothing of it had reached its worker: it may be made elsewhere.
    Unsent(CallBody),
    Call(CallError),
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl Inner {
    /// A slot, at once or when one is free.
    async fn acquire(self: &Arc<Self>, deadline: Instant) -> Result<Slot, CallError> {
        let wait = {
            let mut state = self.lock();
            state.health.admit(Instant::now()).map_err(|again| CallError::Resting { again })?;
            state.called = Some(Instant::now());
            if let Some(slot) = state.take() {
                self.balance(&mut state);
                return Ok(slot);
            }
            let (sender, wait) = oneshot::channel();
            state.waiting.push_back(sender);
            self.balance(&mut state);
            wait
        };
        match tokio::time::timeout_at(deadline.into(), wait).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::NotStarted("the function is being replaced".to_owned())),
            Err(_) => Err(CallError::Deadline),
        }
    }

    /// Makes the call in this slot.
    async fn make(
        self: &Arc<Self>,
        mut slot: Slot,
        parts: &CallParts,
        body: CallBody,
        ticket: &Ticket,
        begin: Instant,
        deadline: Instant,
    ) -> Result<Made, Failed> {
        let worker = Arc::clone(&slot.worker);
        let id = slot.next_id();
        if let Err(abandoned) = ticket.begin(&worker, id) {
            self.give_back(slot, false);
            return Err(abandoned.into());
        }
        worker.begin(slot.index, Some(parts.head.id.clone()));
        let whole = match &body {
            CallBody::Whole(body) => Some(body),
            CallBody::Stream(_) => None,
        };
        let sent = match &mut slot.sink {
            Some(sink) => tokio::time::timeout_at(deadline.into(), sink.request(parts, whole, id)).await,
            None => Ok(Err(ExchangeError::Closed)),
        };
        let exchanged = match (sent, body) {
            (Err(_), _) => Err(None),
            (Ok(Err(ExchangeError::Unsent)), body) => {
                worker.finish(slot.index);
                return Err(Failed::Unsent(body));
            }
            (Ok(Err(error)), _) => Err(Some(error)),
            (Ok(Ok(())), CallBody::Whole(_)) => {
                let answer = tokio::time::timeout_at(deadline.into(), slot.frames.answer(id)).await;
                answer.map_or(Err(None), |answer| answer.map_err(Some)).map(|answered| (answered, None))
            }
            (Ok(Ok(())), CallBody::Stream(body)) => upload::with_body(&mut slot, body, id, deadline).await,
        };
        let (answered, rest) = match exchanged {
            Ok(exchanged) => exchanged,
            Err(None) => {
                ticket.end();
                worker.kill(Kill::Deadline);
                return Err(CallError::Deadline.into());
            }
            Err(Some(error)) => {
                ticket.end();
                return Err(self.broken(slot, error, begin).await.into());
            }
        };
        match answered {
            Answered::Whole(reply) => {
                ticket.end();
                self.spec.stats.answered(begin.elapsed(), &Ok::<_, ReplyError>(()));
                self.finish(slot);
                Ok(Made::Whole(reply))
            }
            Answered::Streams(reply) => {
                self.spec.stats.answered(begin.elapsed(), &Ok::<_, ReplyError>(()));
                Ok(Made::Streams(reply, Streaming::new(slot, id, rest)))
            }
        }
    }

    /// What a call that broke off is answered with; and what becomes of its worker.
    pub(super) async fn broken(
        self: &Arc<Self>,
        slot: Slot,
        error: ExchangeError,
        begin: Instant,
    ) -> CallError {
        let worker = Arc::clone(&slot.worker);
        match error {
            ExchangeError::Reply(error) => {
                let answered = Err::<(), _>(error);
                self.spec.stats.answered(begin.elapsed(), &answered);
                self.finish(slot);
                return answered.map_or_else(CallError::Reply, |()| CallError::Abandoned);
            }
            // It has ended, or has closed what is not its to close.
            ExchangeError::Unsent | ExchangeError::Closed | ExchangeError::Gone(_) => worker.end_now(),
            ExchangeError::Protocol(error) => worker.kill(Kill::Protocol(error.to_string())),
        }
        self.spec.stats.answered(begin.elapsed(), &Ok::<_, ReplyError>(()));
        drop(slot);
        CallError::Crashed(worker.exited().await.map_or_else(
            || "its process is gone".to_owned(),
            |exit| match exit.kill {
                Some(Kill::Limit(what) | Kill::Protocol(what)) => what,
                Some(Kill::Deadline | Kill::Retired) | None => describe(exit.status),
            },
        ))
    }

    pub(super) fn finish(self: &Arc<Self>, slot: Slot) {
        slot.worker.finish(slot.index);
        self.give_back(slot, true);
    }

    /// For the next call, unless its worker has made enough of them.
    fn give_back(self: &Arc<Self>, slot: Slot, answered: bool) {
        if slot.worker.calls() >= self.environment.settings.max_calls {
            slot.worker.retire();
        }
        let mut state = self.lock();
        if answered {
            state.health.answered();
        }
        if state.closed || !slot.worker.is_live() {
            // Its worker ends with the last of its slots, those that are idle among them.
            let worker = Arc::clone(&slot.worker);
            let idle: Vec<_> =
                state.idle.extract_if(.., |(_, other)| Arc::ptr_eq(&other.worker, &worker)).collect();
            self.balance(&mut state);
            drop(state);
            drop(idle);
            drop(slot);
        } else {
            state.give(slot);
        }
    }
}
