//! What happens to the calls of a connection that fails.

use std::sync::Arc;

use crate::host::call::CallError;
use crate::host::frame_reader::ExchangeError;
use crate::host::process::describe;
use crate::host::worker::{KillReason, Worker};

use super::Driver;

/// Why a connection can make no more calls.
#[derive(Debug)]
pub(super) enum Failure {
    /// The deadline of its first call has passed.
    Deadline,
    /// The exchange of frames failed.
    Broken(ExchangeError),
    /// Its worker has ended, or was killed already.
    Ended,
}

impl From<ExchangeError> for Failure {
    fn from(error: ExchangeError) -> Self {
        Self::Broken(error)
    }
}

impl Failure {
    /// Kills the worker.
    pub(super) fn end(&self, worker: &Worker) {
        match self {
            Self::Deadline => worker.kill(KillReason::Deadline),
            Self::Broken(ExchangeError::Protocol(error)) => {
                worker.kill(KillReason::Protocol(error.to_string()))
            }
            // It has ended, or has closed its socket.
            Self::Broken(_) => worker.kill_leftovers(),
            Self::Ended => {}
        }
    }
}

impl Driver {
    /// Kills the worker, requeues the calls that it has not begun, and answers the others with an error.
    pub(super) async fn fail_calls(mut self, failure: Failure) {
        let worker = Arc::clone(&self.connection.worker);
        failure.end(&worker);
        let others = self.pipeline.withdraw(&worker.claims, 0);
        self.requeue(others);
        let begun: Vec<_> = self.pipeline.drain().collect();
        self.finished.count += begun.len();
        self.finished.report(&mut self.inner.lock());
        let Self { inner, connection, .. } = self;
        // Dropping the last connection asks the worker to end.
        drop(connection);
        for call in begun {
            inner.spec.observer.call_ended(call.begin.elapsed(), None);
            call.finish(Err(match failure {
                Failure::Deadline => CallError::Deadline,
                Failure::Broken(_) | Failure::Ended => CallError::Crashed(end_of(&worker).await),
            }));
        }
    }
}

/// Waits until a worker that is ending has ended; how it did, in words.
pub(super) async fn end_of(worker: &Worker) -> String {
    worker.exited().await.map_or_else(
        || "its process is gone".to_owned(),
        |exit| match exit.kill_reason {
            Some(KillReason::Limit(what) | KillReason::Protocol(what)) => what,
            Some(KillReason::Deadline | KillReason::Retired) | None => describe(exit.status),
        },
    )
}
