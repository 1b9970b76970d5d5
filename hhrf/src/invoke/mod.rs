//! Invoke: runs the call and waits for its answer, within the function's limits.
//!
//! Knows how to run a function, not how it was found. There is one seam here, [`Way`]: each way of running a call is a
//! module that takes an [`Admitted`] call and answers with a [`Reply`].

mod blocking;
mod body;
mod gate;
mod idle;
mod isolated;
mod lanes;
mod outbox;
mod polled;
mod runners;
mod stream;
mod turns;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use tower::Service;

pub(crate) use body::{BodyError, BodyReader};
pub(crate) use gate::{Gate, Permit};
pub(crate) use runners::Runners;

use crate::catalog::{Function, Limits};
use crate::error::Error;
use crate::ffi::{Call, CallBody, CallParts, Reply, ReplyError};
use crate::pool::Pool;
use crate::resolve::{Loaded, Resolved, Target};
use crate::route::Routed;
use polled::Polled;

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
    begin: Instant,
    deadline: Instant,
}

/// The same, before it is known where it will run.
#[derive(Debug)]
struct Opened {
    parts: CallParts,
    body: CallBody,
    permit: Permit,
    begin: Instant,
    deadline: Instant,
}

impl Opened {
    /// Takes a permit, from when on the function's time runs.
    fn new(routed: Routed, body: CallBody, begin: Instant) -> Result<Self, InvokeError> {
        let Limits { timeout, max_concurrency: limit, .. } = routed.function.limits;
        let permit = routed.function.gate.enter().ok_or(InvokeError::Full { limit })?;
        let deadline = begin + timeout;
        Ok(Self { parts: CallParts::new(routed, Some(deadline)), body, permit, begin, deadline })
    }

    fn admit(self, loaded: Arc<Loaded>) -> Admitted {
        let Self { parts, body, permit, begin, deadline } = self;
        Admitted { loaded, permit, call: Call::new(parts, body), begin, deadline }
    }
}

/// The deadline has passed, and is counted; so many calls go on without anybody who waits for them.
fn deadline_passed(function: &Function, abandoned: usize) -> InvokeError {
    function.stats.timeouts.inc();
    InvokeError::Deadline { timeout: function.limits.timeout, abandoned }
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
    /// A request without a body finds all that it needs at hand: nothing stands between it and its call.
    fn start(&self, routed: Routed, loaded: Arc<Loaded>) -> Result<Invoking, InvokeError> {
        let begin = routed.head.since;
        let way = loaded.way();
        let admitted = Opened::new(routed, CallBody::Whole(Bytes::new()), begin)?.admit(loaded);
        Ok(match way {
            Way::Polled => Invoking::Polled(self.polled(admitted)?),
            Way::Blocking => {
                let runners = self.runners.clone();
                Invoking::Boxed(Box::pin(async move { blocking::run(admitted, &runners).await }))
            }
        })
    }

    /// Any other request.
    async fn run(self, routed: Routed, target: Target) -> Result<Reply<Body>, InvokeError> {
        match target {
            Target::Library(loaded) => {
                let opened = self.open(routed, loaded.streams_bodies()).await?;
                let way = loaded.way();
                let admitted = opened.admit(loaded);
                match way {
                    Way::Blocking => blocking::run(admitted, &self.runners).await,
                    Way::Polled => self.polled(admitted)?.await,
                }
            }
            Target::Workers(pool) => self.isolated(routed, pool).await,
        }
    }

    fn polled(&self, admitted: Admitted) -> Result<Polled, InvokeError> {
        Polled::start(admitted, self.slow_poll, self.runners.clone()).ok_or(InvokeError::Lost)
    }

    async fn isolated(&self, routed: Routed, pool: Arc<Pool>) -> Result<Reply<Body>, InvokeError> {
        let function = Arc::clone(&routed.function);
        let streams = pool.streams_bodies(Instant::now() + function.limits.timeout).await;
        let streams = streams.map_err(|error| isolated::invoke_error(error, &function))?;
        isolated::run(pool, self.open(routed, streams).await?).await
    }

    /// Reads the body, unless the function does, and takes a permit: in this order, so that a slow client does not keep
    /// a place from others.
    async fn open(&self, mut routed: Routed, streams_bodies: bool) -> Result<Opened, InvokeError> {
        let body = std::mem::take(&mut routed.body);
        let limit = routed.function.limits.max_body_bytes;
        let body = BodyReader::new(body, &routed.head.parts.headers, limit, self.body_timeout)?;
        let body = if streams_bodies {
            CallBody::Stream(body.with_timer())
        } else {
            CallBody::Whole(body.read().await?)
        };
        Opened::new(routed, body, Instant::now())
    }
}

impl Service<Resolved> for Invoke {
    type Response = Reply<Body>;
    type Error = Error;
    type Future = Invoking;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, resolved: Resolved) -> Invoking {
        let Resolved { routed, target } = resolved;
        if let Some(abandoned) = routed.function.gate.overload() {
            return Invoking::Refused(Some(InvokeError::Overloaded { abandoned }));
        }
        match target {
            Target::Library(loaded) if routed.body.is_end_stream() && !loaded.streams_bodies() => {
                self.start(routed, loaded).unwrap_or_else(|error| Invoking::Refused(Some(error)))
            }
            target => Invoking::Boxed(Box::pin(self.clone().run(routed, target))),
        }
    }
}

/// A call on its way. The usual ones need no box.
pub(crate) enum Invoking {
    Polled(Polled),
    Boxed(Pin<Box<dyn Future<Output = Result<Reply<Body>, InvokeError>> + Send>>),
    /// Taken by the only poll.
    Refused(Option<InvokeError>),
}

impl Future for Invoking {
    type Output = Result<Reply<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = match self.get_mut() {
            Self::Polled(polled) => ready!(Pin::new(polled).poll(cx)),
            Self::Boxed(boxed) => ready!(boxed.as_mut().poll(cx)),
            Self::Refused(error) => Err(error.take().unwrap_or(InvokeError::Lost)),
        };
        Poll::Ready(reply.map_err(Error::from))
    }
}
