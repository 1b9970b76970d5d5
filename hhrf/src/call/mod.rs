//! Making a call of a function, within the function's limits, and waiting for its answer.
//!
//! Knows how to run a function, not how it was found. A plain `fn` runs on a thread that may block ([`blocking`]), an
//! `async fn` is polled in place ([`polled`]), an isolated function runs in a worker process ([`isolated`]).

mod answer;
mod blocking;
mod blocking_pool;
mod body;
mod concurrency;
mod isolated;
mod length;
mod polled;
mod reply_pacer;
mod request;
mod stream;
mod upgrade;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use fezz_isolation::host::{Budget, Pool};
use fezz_runtime::ffi::{Call, CallBody, Reply, ReplyError, RequestBodies};
use http::header::EXPECT;
use http_body::Body as _;

pub(crate) use blocking_pool::BlockingPool;
pub(crate) use body::{BodyError, BodyTimes};
pub(crate) use concurrency::Permit;
pub(crate) use length::parse_length;
pub(crate) use request::{CallRequest, Head, REQUEST_ID};
pub(crate) use upgrade::{Connection, Offer};

use crate::function::Function;
use crate::load::{CallMode, Loaded, LoadedLibrary};
use blocking::Delivery;
use body::{BodyReader, Progress, WholeBody};
use concurrency::check_overload;
use polled::Polled;
use reply_pacer::ReplyPacer;
use upgrade::{Runs, Upgrade};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(
        "the function runs as many calls as it may, and {queued} more wait for them to end: this one was not made"
    )]
    Full { queued: usize, again: Duration },
    #[error(
        "the function runs as many calls as it may: this one was not made, after it waited {} ms for another to end",
        .waited.as_millis()
    )]
    QueuedTooLong { waited: Duration, again: Duration },
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
    #[error(
        "no worker of the function was free before the deadline, since streams hold them: this call was not made"
    )]
    NoWorker,
    #[error("the function has as many upgraded connections as it may, {open}: this one was not made")]
    Upgrades { open: usize },
    #[error("the answers that the host has not sent yet take all the memory that they may; try again later")]
    NoMemory,
    #[error("the call was lost inside the host; this is a defect of the host")]
    Lost,
}

/// What holds for all calls.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The most threads that calls may block at once.
    pub(crate) blocking_threads: usize,
    /// With this many abandoned calls a function is overloaded.
    pub(crate) abandoned_max: usize,
    /// How long a client may take for its body.
    pub(crate) body_times: BodyTimes,
    /// The memory of all request bodies that the host holds, in bytes.
    pub(crate) request_memory: u64,
    /// The memory of all answers that are not sent yet.
    pub(crate) response_memory: Arc<Budget>,
    /// A poll that takes this long is reported as blocking.
    pub(crate) slow_poll: Duration,
}

/// Makes calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    options: Arc<Options>,
    pool: BlockingPool,
    pacer: ReplyPacer<Delivery>,
    bodies: Arc<Budget>,
}

/// A call that has its permit and can be run.
#[derive(Debug)]
struct Admitted {
    loaded: Arc<LoadedLibrary>,
    /// Dropped after the call, at whose end it makes room for another.
    permit: Permit,
    call: Call<CallRequest>,
    begin: Instant,
    deadline: Instant,
}

impl Admitted {
    /// Waits in the function's queue, if it has to. The wait is a part of the function's time.
    async fn queued(
        mut request: CallRequest,
        body: CallBody,
        loaded: Arc<LoadedLibrary>,
    ) -> Result<Self, CallError> {
        let deadline = Instant::now() + request.function.limits.timeout;
        let permit = match request.permit.take() {
            Some(permit) => permit,
            None => Permit::acquire(&request.function, deadline).await?,
        };
        Ok(Self { loaded, permit, call: Call::new(request, body), begin: Instant::now(), deadline })
    }
}

impl Caller {
    /// Must be called within a runtime, on which the pool's watcher and the pacer run.
    pub(crate) fn new(options: Options) -> Self {
        let pool = BlockingPool::start(options.blocking_threads);
        let bodies = Budget::new(options.request_memory);
        Self { options: Arc::new(options), pool, pacer: ReplyPacer::start(Delivery::finish), bodies }
    }

    /// The memory of request bodies, and of answers that are not sent yet.
    pub(crate) fn budgets(&self) -> [Arc<Budget>; 2] {
        [Arc::clone(&self.bodies), Arc::clone(&self.options.response_memory)]
    }

    /// Begins a call of a loaded function.
    pub(crate) fn call(&self, mut request: CallRequest, body: Body, loaded: Loaded) -> Calling {
        if let Err(error) = check_overload(&request.function, self.options.abandoned_max) {
            return Calling::Refused(Some(error));
        }
        if request.head.offer.is_some()
            && let Loaded::Library(library) = &loaded
            && let Err(error) = Upgrade::prepare(&mut request, library.takes_upgrades(), Runs::InProcess)
        {
            return Calling::Refused(Some(error));
        }
        match loaded {
            Loaded::Library(library)
                if body.is_end_stream()
                    && library.request_bodies() != RequestBodies::Streamed
                    && let Some(permit) =
                        request.permit.take().or_else(|| Permit::try_acquire(&request.function)) =>
            {
                self.start(request, library, permit).unwrap_or_else(|error| Calling::Refused(Some(error)))
            }
            loaded => Calling::Boxed(Box::pin(self.clone().run(request, body, loaded))),
        }
    }

    /// A request without a body waits for nothing before its call, if there is room for it.
    fn start(
        &self,
        request: CallRequest,
        loaded: Arc<LoadedLibrary>,
        permit: Permit,
    ) -> Result<Calling, CallError> {
        let (begin, mode) = (request.head.since, loaded.call_mode());
        let deadline = begin + request.function.limits.timeout;
        let call = Call::new(request, CallBody::Whole(Bytes::new()));
        let admitted = Admitted { loaded, permit, call, begin, deadline };
        Ok(match mode {
            CallMode::Polled => Calling::Polled(self.polled(admitted)?),
            CallMode::Blocking => {
                let this = self.clone();
                Calling::Boxed(Box::pin(async move { this.blocking(admitted).await }))
            }
        })
    }

    async fn run(
        self,
        mut request: CallRequest,
        body: Body,
        loaded: Loaded,
    ) -> Result<Reply<Body>, CallError> {
        match loaded {
            Loaded::Library(library) => {
                let body = self.read(&mut request, body, library.request_bodies()).await?;
                let mode = library.call_mode();
                let admitted = Admitted::queued(request, body, library).await?;
                match mode {
                    CallMode::Blocking => self.blocking(admitted).await,
                    CallMode::Polled => self.polled(admitted)?.await,
                }
            }
            Loaded::Workers(pool) => self.isolated(request, body, pool).await,
        }
    }

    async fn blocking(&self, admitted: Admitted) -> Result<Reply<Body>, CallError> {
        blocking::run(admitted, &self.pool, &self.pacer, &self.options.response_memory).await
    }

    fn polled(&self, admitted: Admitted) -> Result<Polled, CallError> {
        let memory = Arc::clone(&self.options.response_memory);
        Polled::start(admitted, self.options.slow_poll, self.pool.clone(), memory).ok_or(CallError::Lost)
    }

    async fn isolated(
        &self,
        mut request: CallRequest,
        body: Body,
        pool: Arc<Pool>,
    ) -> Result<Reply<Body>, CallError> {
        let function = Arc::clone(&request.function);
        let abilities = pool.abilities(Instant::now() + function.limits.timeout).await;
        let abilities = abilities.map_err(|error| isolated::call_error(error, &function))?;
        Upgrade::prepare(&mut request, abilities.takes_upgrades, Runs::InWorker)?;
        let body = self.read(&mut request, body, abilities.request_bodies).await?;
        isolated::run(pool, request, body).await
    }

    /// Reads the body, unless the function does. Before the permit is taken, so that a slow client does not hold one.
    async fn read(
        &self,
        request: &mut CallRequest,
        body: Body,
        bodies: RequestBodies,
    ) -> Result<CallBody, CallError> {
        let limit = request.function.limits.max_body_bytes;
        let headers = &request.head.parts.headers;
        let body = BodyReader::new(body, headers, limit, self.options.body_times)?;
        let streams = match bodies {
            RequestBodies::Whole => false,
            RequestBodies::Streamed => true,
            // A client that waits for 100 may get an answer instead.
            RequestBodies::StreamedIfLong => body.is_long() || headers.contains_key(EXPECT),
        };
        if streams {
            let progress = Arc::new(Progress::new(bodies == RequestBodies::StreamedIfLong));
            request.body_progress = Some(Arc::clone(&progress));
            return Ok(CallBody::Stream(Box::new(body.streamed(progress))));
        }
        let WholeBody { data, trailers, memory } = body.read(&self.bodies).await?;
        request.body_memory = memory;
        request.trailers = trailers.map(Box::new);
        Ok(CallBody::Whole(data))
    }
}

/// The deadline has passed, and is counted.
fn deadline_passed(function: &Function, abandoned: usize) -> CallError {
    function.stats.timeouts.inc();
    CallError::Deadline { timeout: function.limits.timeout, abandoned }
}

/// A call that is being made. The most frequent kind needs no box.
pub(crate) enum Calling {
    Polled(Polled),
    Boxed(Pin<Box<dyn Future<Output = Result<Reply<Body>, CallError>> + Send>>),
    /// Taken by the only poll.
    Refused(Option<CallError>),
}

impl Future for Calling {
    type Output = Result<Reply<Body>, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.get_mut() {
            Self::Polled(polled) => ready!(Pin::new(polled).poll(cx)),
            Self::Boxed(boxed) => ready!(boxed.as_mut().poll(cx)),
            Self::Refused(error) => Err(error.take().unwrap_or(CallError::Lost)),
        })
    }
}
