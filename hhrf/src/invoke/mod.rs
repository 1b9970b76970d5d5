//! Invoke: runs the call and waits for its answer, within the function's limits.
//!
//! Knows how to run a function, not how it was found. There is one seam here, [`Way`]: each way of running a call is a
//! module that takes an [`Admitted`] call and answers with a [`Reply`].

mod blocking;
mod body;
mod gate;
mod isolated;
mod polled;
mod runners;
mod stream;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use tower::Service;

pub(crate) use body::{BodyError, BodyReader};
pub(crate) use gate::Gate;
pub(crate) use runners::Runners;

use crate::error::Error;
use crate::ffi::{Call, CallBody, CallParts, Reply, ReplyError};
use crate::pool::Pool;
use crate::resolve::{Loaded, Resolved, Target};
use crate::route::Routed;
use gate::Permit;

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
    #[error(
        "{abandoned} calls of the function are still running that nobody waits for: no more are made until some of them have ended"
    )]
    Overloaded { abandoned: usize },
    #[error("the call was lost inside the host; this is a defect of the host")]
    Lost,
}

/// How a function's calls are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// On a thread that may block.
    Blocking,
    /// In place, by polling.
    Polled,
}

/// A call that has its permit and can be run.
#[derive(Debug)]
struct Admitted {
    loaded: Arc<Loaded>,
    /// Dropped after the call, at whose end it says that there is room for another.
    permit: Permit,
    call: Call,
    timeout: Duration,
    begin: Instant,
    deadline: Instant,
}

/// The same, before it is known where it will run.
#[derive(Debug)]
struct Opened {
    parts: CallParts,
    body: CallBody,
    permit: Permit,
    timeout: Duration,
    begin: Instant,
    deadline: Instant,
}

/// The innermost service of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Invoke {
    pub(crate) runners: Runners,
    /// How long a client may keep its body waiting.
    pub(crate) body_timeout: Duration,
    /// From when on a poll is one that blocks.
    pub(crate) slow_poll: Duration,
}

impl Invoke {
    async fn run(self, resolved: Resolved) -> Result<Reply<Body>, InvokeError> {
        let Resolved { routed, target } = resolved;
        let stats = Arc::clone(&routed.function.stats);
        if let Some(abandoned) = routed.function.gate.overload() {
            return Err(InvokeError::Overloaded { abandoned });
        }
        let reply = match target {
            Target::Library(loaded) => self.in_process(routed, loaded).await,
            Target::Workers(pool) => self.isolated(routed, pool).await,
        };
        if let Err(InvokeError::Deadline { .. }) = reply {
            stats.timeouts.inc();
        }
        reply
    }

    async fn in_process(&self, routed: Box<Routed>, loaded: Arc<Loaded>) -> Result<Reply<Body>, InvokeError> {
        let opened = self.open(routed, loaded.streams_bodies()).await?;
        let Opened { parts, body, permit, timeout, begin, deadline } = opened;
        let way = loaded.way();
        let admitted = Admitted { loaded, permit, call: Call::new(parts, body), timeout, begin, deadline };
        match way {
            Way::Blocking => blocking::run(admitted, &self.runners).await,
            Way::Polled => polled::run(admitted, self.slow_poll, &self.runners).await,
        }
    }

    async fn isolated(&self, routed: Box<Routed>, pool: Arc<Pool>) -> Result<Reply<Body>, InvokeError> {
        let timeout = routed.function.limits.timeout;
        let streams = pool.streams_bodies(Instant::now() + timeout).await;
        let streams = streams.map_err(|error| isolated::invoke_error(error, timeout))?;
        isolated::run(pool, self.open(routed, streams).await?).await
    }

    /// Reads the body, unless the function does, and takes a permit: in this order, so that a slow client does not keep
    /// a place from others.
    async fn open(&self, routed: Box<Routed>, streams_bodies: bool) -> Result<Opened, InvokeError> {
        let Routed { head, body, function, peer, path_start, route, params } = *routed;
        let (max_body_bytes, limit) = (function.limits.max_body_bytes, function.limits.max_concurrency);
        let body = BodyReader::new(body, &head.headers, max_body_bytes, self.body_timeout)?;
        let body = if streams_bodies {
            CallBody::Stream(body.with_timer())
        } else {
            CallBody::Whole(body.read().await?)
        };
        let permit = function.gate.enter().ok_or(InvokeError::Full { limit })?;
        let timeout = function.limits.timeout;
        let begin = Instant::now();
        let deadline = begin + timeout;
        let parts = CallParts { function, deadline: Some(deadline), peer, head, path_start, route, params };
        Ok(Opened { parts, body, permit, timeout, begin, deadline })
    }
}

impl Service<Resolved> for Invoke {
    type Response = Reply<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, resolved: Resolved) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.run(resolved).await?) })
    }
}
