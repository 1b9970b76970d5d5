//! An `async fn`: polled in place, on the connection's own task, with no thread in between.
//!
//! Whoever waits for the call owns it. When it goes, because the client left or the deadline passed, the task is
//! dropped with it, which cancels it for real, and the permit is free at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;

use super::runners::Runners;
use super::stream::streamed;
use super::{Admitted, InvokeError};
use crate::ffi::{Call, Keep, RawReply, Reply, ReplyError, Task};

/// Makes the call and waits for its answer.
pub(super) async fn run(
    admitted: Admitted,
    slow_poll: Duration,
    runners: &Runners,
) -> Result<Reply<Body>, InvokeError> {
    // Locals are dropped from the last to the first: the task before the permit, which says that it is gone.
    let Admitted { loaded, call, permit, timeout, begin, deadline } = admitted;
    let Some(task) = loaded.start(call.clone()) else { return Err(InvokeError::Lost) };
    let polling = Polling { task, call: &call, slow_poll, admitted: Some(begin) };
    let Ok((raw, end)) = tokio::time::timeout_at(deadline.into(), polling).await else {
        return Err(InvokeError::Deadline { timeout, abandoned: 0 });
    };
    let keep: Keep = loaded;
    let reply = raw.and_then(|raw| raw.into_reply(&keep));
    call.function().stats.answered(end - begin, &reply);
    Ok(reply?.map(|body| streamed(body, &call, Some(permit), runners)))
}

/// A task as a future, its polls timed.
struct Polling<'a> {
    task: Task,
    call: &'a Call,
    slow_poll: Duration,
    /// When the first poll began, as good as; taken by it. Clocks are not free.
    admitted: Option<Instant>,
}

impl Future for Polling<'_> {
    type Output = (Result<RawReply, ReplyError>, Instant);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let begin = self.admitted.take().unwrap_or_else(Instant::now);
        let reply = self.task.poll(cx);
        let end = Instant::now();
        if end - begin >= self.slow_poll {
            report_slow_poll(self.call, end - begin);
        }
        reply.map(|reply| (reply, end))
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
