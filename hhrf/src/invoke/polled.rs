//! An `async fn`: polled in place, on the connection's own task, with no thread in between.
//!
//! Whoever waits for the call owns it. When it goes, because the client left or the deadline passed, the task is
//! dropped with it, which cancels it for real, and the permit is free at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use tokio::time::{Sleep, sleep_until};

use super::gate::Permit;
use super::runners::Runners;
use super::stream::streamed;
use super::{Admitted, InvokeError, deadline_passed};
use crate::ffi::{Call, Reply, Task};
use crate::resolve::Loaded;

/// A call and what it holds. Fields are dropped from the first to the last: the task before the permit, which says that
/// it is gone.
pub(crate) struct Polled {
    task: Task<Call>,
    permit: Option<Permit>,
    loaded: Arc<Loaded>,
    runners: Runners,
    slow_poll: Duration,
    begin: Instant,
    /// Whether `begin` is when the first poll began, as good as: it is, until then. Clocks are not free.
    fresh: bool,
    deadline: Instant,
    /// Made when there is first something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Polled {
    /// None where the function is not one that is polled.
    pub(super) fn start(admitted: Admitted, slow_poll: Duration, runners: Runners) -> Option<Self> {
        let Admitted { loaded, call, permit, begin, deadline } = admitted;
        let task = loaded.start(call, deadline - begin)?;
        let (permit, timer, fresh) = (Some(permit), None, true);
        Some(Self { task, permit, loaded, runners, slow_poll, begin, fresh, deadline, timer })
    }

    /// Ready when the function's time is over.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into()))).as_mut().poll(cx)
    }
}

impl Future for Polled {
    type Output = Result<Reply<Body>, InvokeError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let begin = if std::mem::take(&mut this.fresh) { this.begin } else { Instant::now() };
        let polled = this.task.poll(cx);
        let end = Instant::now();
        if end - begin >= this.slow_poll {
            report_slow_poll(this.task.call(), end - begin);
        }
        let Poll::Ready(raw) = polled else {
            let deadline = this.poll_deadline(cx);
            return deadline.map(|()| Err(deadline_passed(this.task.call().function(), 0)));
        };
        let call = this.task.call();
        let reply = raw.and_then(|raw| raw.into_reply(Arc::<Loaded>::clone(&this.loaded)));
        call.function().stats.answered(end - this.begin, &reply);
        let permit = this.permit.take();
        Poll::Ready(Ok(reply?.map(|body| streamed(body, call, permit, &this.runners))))
    }
}

/// Such a function holds up every other on this thread. Its author has to know.
pub(super) fn report_slow_poll(call: &Call, took: Duration) {
    call.function().stats.slow_polls.inc();
    tracing::warn!(
        function = call.function().name(),
        request_id = call.request_id(),
        millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "a poll of the function blocked a thread of the host; blocking work belongs in a plain fn or in spawn_blocking"
    );
}
