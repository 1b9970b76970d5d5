//! One call of an isolated function: a slot is found, the call made in it, and the slot given back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::slot::{ExchangeError, Slot};
use super::worker::{Kill, Worker};
use super::{Inner, Pool, describe};
use crate::ffi::{CallParts, Reply, ReplyError};

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

    fn end(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Pool {
    /// Makes one call, until its deadline at the latest.
    pub(crate) async fn call(
        &self,
        parts: &CallParts,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Result<Reply, CallError> {
        loop {
            let slot = self.0.acquire(deadline).await?;
            match self.0.make(slot, parts, ticket, deadline).await {
                // Nothing of it had reached the worker.
                Err(None) => {}
                Err(Some(error)) => return Err(error),
                Ok(reply) => return Ok(reply),
            }
        }
    }
}

impl Inner {
    /// A slot, at once or when one is free.
    async fn acquire(self: &Arc<Self>, deadline: Instant) -> Result<Slot, CallError> {
        let wait = {
            let mut state = self.lock();
            state.health.admit(Instant::now()).map_err(|again| CallError::Resting { again })?;
            state.called = true;
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

    /// Makes the call in this slot; the error is none where it was not made, and may be made elsewhere.
    async fn make(
        self: &Arc<Self>,
        mut slot: Slot,
        parts: &CallParts,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Result<Reply, Option<CallError>> {
        let worker = Arc::clone(&slot.worker);
        let id = slot.next_id();
        if let Err(abandoned) = ticket.begin(&worker, id) {
            self.give_back(slot, false);
            return Err(Some(abandoned));
        }
        worker.begin(slot.index, parts.head.headers.get("x-request-id").cloned());
        let begin = Instant::now();
        let outcome = tokio::time::timeout_at(deadline.into(), slot.exchange(parts, id)).await;
        ticket.end();
        let Ok(outcome) = outcome else {
            worker.kill(Kill::Deadline);
            return Err(Some(CallError::Deadline));
        };
        match outcome {
            Err(ExchangeError::Unsent) => {
                worker.finish(slot.index);
                return Err(None);
            }
            Err(ExchangeError::Closed | ExchangeError::Gone(_)) => {
                // It has ended, or has closed what is not its to close.
                worker.end_now();
            }
            Err(ExchangeError::Protocol(error)) => worker.kill(Kill::Protocol(error.to_string())),
            Err(ExchangeError::Reply(error)) => {
                self.spec.stats.called(begin.elapsed());
                self.finish(slot);
                return Err(Some(error.into()));
            }
            Ok(reply) => {
                self.spec.stats.called(begin.elapsed());
                self.finish(slot);
                return Ok(reply);
            }
        }
        self.spec.stats.called(begin.elapsed());
        drop(slot);
        Err(Some(CallError::Crashed(worker.exited().await.map_or_else(
            || "its process is gone".to_owned(),
            |exit| match exit.kill {
                Some(Kill::Limit(what) | Kill::Protocol(what)) => what,
                Some(Kill::Deadline | Kill::Retired) | None => describe(exit.status),
            },
        ))))
    }

    fn finish(self: &Arc<Self>, slot: Slot) {
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
