//! A call of an `async fn`, polled in place on the connection's own task.
//!
//! The future owns the call. When it is dropped, because the client left or the deadline passed, the function's task is
//! dropped with it, which cancels it, and the permit is free at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use fezz_isolation::host::Budget;
use fezz_runtime::ffi::{Call, Keep, Reply, Task};
use http::StatusCode;
use tokio::time::{Sleep, sleep_until};

use super::answer::check_length;
use super::concurrency::Permit;
use super::stream::streamed;
use super::upgrade;
use super::{Admitted, BlockingPool, CallError, CallRequest, deadline_passed};
use crate::load::LoadedLibrary;

/// A call and what it holds. Fields are dropped in order: the task before the permit, which makes room for another.
pub(crate) struct Polled {
    task: Task<CallRequest>,
    permit: Option<Permit>,
    loaded: Arc<LoadedLibrary>,
    pool: BlockingPool,
    memory: Arc<Budget>,
    slow_poll: Duration,
    begin: Instant,
    /// Not polled yet: `begin` serves as the beginning of the first poll, which saves a clock read.
    fresh: bool,
    deadline: Instant,
    /// Made when there is first something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Polled {
    /// None if the function cannot be polled.
    pub(super) fn start(
        admitted: Admitted,
        slow_poll: Duration,
        pool: BlockingPool,
        memory: Arc<Budget>,
    ) -> Option<Self> {
        let Admitted { loaded, call, permit, begin, deadline } = admitted;
        let task = loaded.start(call, time_left(begin, deadline))?;
        let (permit, timer, fresh) = (Some(permit), None, true);
        Some(Self { task, permit, loaded, pool, memory, slow_poll, begin, fresh, deadline, timer })
    }

    /// Ready when the function's time is over.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into()))).as_mut().poll(cx)
    }
}

impl Future for Polled {
    type Output = Result<Reply<Body>, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let is_first = std::mem::take(&mut this.fresh);
        let begin = if is_first { this.begin } else { Instant::now() };
        let polled = this.task.poll(cx);
        let end = Instant::now();
        let took = end - begin;
        if took >= this.slow_poll {
            report_slow_poll(this.task.call(), took);
        }
        let Poll::Ready(raw) = polled else {
            let deadline = this.poll_deadline(cx);
            return deadline.map(|()| Err(deadline_passed(&this.task.call().source().function, 0)));
        };
        let call = this.task.call();
        let offered = call.source().upgrade.is_some();
        let reply = raw.and_then(|raw| raw.into_reply(Arc::<LoadedLibrary>::clone(&this.loaded), offered));
        call.source()
            .function
            .stats
            .call_ended(if is_first { took } else { end - this.begin }, reply.as_ref().err());
        call.source().answered()?;
        let permit = this.permit.take();
        let reply = check_length(reply?, &call.source().function, &this.memory)?;
        if reply.status == StatusCode::SWITCHING_PROTOCOLS {
            let keep: Keep = Arc::<LoadedLibrary>::clone(&this.loaded);
            return Poll::Ready(upgrade::switch(reply, call, keep, &this.pool));
        }
        Poll::Ready(streamed(reply, call, permit, &this.pool).map_err(CallError::from))
    }
}

/// At least a nanosecond, since 0 means no deadline.
fn time_left(now: Instant, deadline: Instant) -> Duration {
    deadline.saturating_duration_since(now).max(Duration::from_nanos(1))
}

/// A poll that blocks holds up all other work of its thread; the function's author has to know.
fn report_slow_poll(call: &Call<CallRequest>, took: Duration) {
    let CallRequest { function, head, .. } = call.source();
    function.stats.slow_polls.inc();
    tracing::warn!(
        kind = "polls blocked a thread of the host",
        function = function.name(),
        request_id = head.id(),
        millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "a poll of the function blocked a thread of the host; blocking work belongs in a plain fn or in spawn_blocking"
    );
}
