//! What becomes of a slot's calls when its worker is no use any more.

use std::sync::Arc;

use super::Drive;
use crate::ffi::ReplyError;
use crate::pool::call::CallError;
use crate::pool::describe;
use crate::pool::slot::ExchangeError;
use crate::pool::worker::{Kill, Worker};

/// Why a slot makes no more calls.
#[derive(Debug)]
pub(super) enum Lost {
    /// The deadline of its first call has passed.
    Deadline,
    Broken(ExchangeError),
    /// Its worker has been ended already.
    Ended,
}

impl From<ExchangeError> for Lost {
    fn from(error: ExchangeError) -> Self {
        Self::Broken(error)
    }
}

impl Lost {
    /// Ends the worker that this happened to.
    pub(super) fn end(&self, worker: &Worker) {
        match self {
            Self::Deadline => worker.kill(Kill::Deadline),
            Self::Broken(ExchangeError::Protocol(error)) => worker.kill(Kill::Protocol(error.to_string())),
            // It has ended, or has closed what is not its to close.
            Self::Broken(_) => worker.end_now(),
            Self::Ended => {}
        }
    }
}

impl Drive {
    /// Ends the worker, makes those calls elsewhere that it has not begun, and answers the others.
    pub(super) async fn lost(mut self, lost: Lost) {
        let worker = Arc::clone(&self.slot.worker);
        lost.end(&worker);
        let others = self.line.withdraw(&worker.claims, 0);
        self.give_back(others);
        let begun: Vec<_> = self.line.drain().collect();
        self.unreported.calls += begun.len();
        self.unreported.tell(&mut self.inner.lock());
        let Self { inner, slot, .. } = self;
        // With its last slot a worker is asked to end.
        drop(slot);
        for request in begun {
            inner.spec.stats.answered(request.begin.elapsed(), &Ok::<_, ReplyError>(()));
            request.finish(Err(match lost {
                Lost::Deadline => CallError::Deadline,
                Lost::Broken(_) | Lost::Ended => CallError::Crashed(end_of(&worker).await),
            }));
        }
    }
}

/// How a worker that is ending has ended.
pub(super) async fn end_of(worker: &Worker) -> String {
    worker.exited().await.map_or_else(
        || "its process is gone".to_owned(),
        |exit| match exit.kill {
            Some(Kill::Limit(what) | Kill::Protocol(what)) => what,
            Some(Kill::Deadline | Kill::Retired) | None => describe(exit.status),
        },
    )
}
