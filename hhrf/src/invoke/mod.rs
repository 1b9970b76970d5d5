//! Invoke: runs the call and waits for its answer, within the function's limits.
//!
//! Knows how to run a function, not how it was found. A queued job owns the call: when the client leaves or the
//! deadline passes, the function is told, and whatever it holds is given back when it returns.

mod body;
mod gate;
mod isolated;
mod runners;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tower::Service;

pub(crate) use body::BodyError;
pub(crate) use gate::Gate;
pub(crate) use runners::Runners;

use crate::error::Error;
use crate::ffi::{Call, CallParts, Reply, ReplyError};
use crate::pool::CallError;
use crate::resolve::{Resolved, Target};
use crate::route::Routed;
use runners::Job;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvokeError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("all {limit} calls that the function may run at once are taken")]
    Full { limit: usize },
    #[error("the function did not answer within {} ms; calls of it that nobody waits for: {abandoned}", .timeout.as_millis())]
    Deadline { timeout: Duration, abandoned: usize },
    #[error(transparent)]
    Reply(#[from] ReplyError),
    #[error("the function crashed while it served this request: {0}")]
    Crashed(String),
    #[error("the function's worker process could not be started: {0}")]
    NotStarted(String),
    #[error("the function crashed too often; calls of it are taken again in {} s", .again.as_secs().max(1))]
    Resting { again: Duration },
    #[error("the call was lost inside the host; this is a defect of the host")]
    Lost,
}

/// The innermost service of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Invoke {
    runners: Runners,
    body_timeout: Duration,
}

impl Invoke {
    pub(crate) const fn new(runners: Runners, body_timeout: Duration) -> Self {
        Self { runners, body_timeout }
    }

    async fn run(self, resolved: Resolved) -> Result<Reply, InvokeError> {
        let Resolved { routed: Routed { head, body, function, peer, path_start, route, params }, target } =
            resolved;
        let limits = &function.limits;
        let body = body::read(body, &head.headers, limits.max_body_bytes, self.body_timeout).await?;
        let permit = function.gate.enter().ok_or(InvokeError::Full { limit: limits.max_concurrency })?;
        let timeout = limits.timeout;
        let deadline = Instant::now() + timeout;
        let parts = CallParts {
            function: Arc::clone(&function),
            deadline: Some(deadline),
            peer,
            head,
            path_start,
            route,
            params,
            body,
        };
        let loaded = match target {
            Target::Library(loaded) => loaded,
            Target::Workers(pool) => return isolated::run(pool, parts, permit, deadline, timeout).await,
        };
        let call = Call::new(parts);
        let (answer, wait) = oneshot::channel();
        let mut waiter = Waiter { call: call.clone(), wait };
        self.runners.submit(Job { call, loaded, permit, answer });
        match tokio::time::timeout_at(deadline.into(), &mut waiter.wait).await {
            Ok(Ok(reply)) => Ok(reply?),
            Ok(Err(_)) => Err(InvokeError::Lost),
            Err(_) => {
                function.stats.timeouts.inc();
                Err(InvokeError::Deadline { timeout, abandoned: waiter.abandon() })
            }
        }
    }
}

impl From<CallError> for InvokeError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Resting { again } => Self::Resting { again },
            CallError::NotStarted(reason) => Self::NotStarted(reason),
            CallError::Crashed(what) => Self::Crashed(what),
            CallError::Reply(error) => Self::Reply(error),
            // The one is told before it gets here, the other to nobody.
            CallError::Deadline | CallError::Abandoned => Self::Lost,
        }
    }
}

/// The side that waits. When it goes before the answer has come, the call is abandoned: told to stop, and counted.
struct Waiter {
    call: Call,
    wait: oneshot::Receiver<Result<Reply, ReplyError>>,
}

impl Waiter {
    fn abandon(&mut self) -> usize {
        let gate = &self.call.function().gate;
        let abandoned = gate.abandon();
        self.wait.close();
        if self.wait.try_recv().is_ok() {
            // It was answered at this very moment, so that the job has not counted its own end.
            gate.recover();
        }
        self.call.cancel();
        abandoned
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Terminated: the answer was received, or `abandon` has closed the channel.
        if !self.wait.is_terminated() {
            self.abandon();
        }
    }
}

impl Service<Resolved> for Invoke {
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, resolved: Resolved) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.run(resolved).await?) })
    }
}
