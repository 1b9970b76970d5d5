//! A call that is polled in place: what `fezz_fetch_async` starts.

use std::task::{Context, Poll};
use std::time::Duration;

use fezz_abi::bridge::lend;
use fezz_abi::{FetchAsyncFn, FezzResponse, FezzTask, TASK_PENDING, TASK_READY};

use super::reply::{RawReply, ReplyError};
use super::{Call, RemoteCall, inflight};

/// Whose request it is that a task works on.
pub(crate) trait Owner {
    /// By which the supervisor knows the function.
    fn number(&self) -> u32;

    /// Tells the function that nobody waits for its answer any more.
    fn cancel(&self);
}

impl Owner for Call {
    fn number(&self) -> u32 {
        self.function().number
    }

    fn cancel(&self) {
        Self::cancel(self);
    }
}

/// In a worker process. What that does is nothing to the supervisor, and it is the host that knows who waits.
impl Owner for RemoteCall {
    fn number(&self) -> u32 {
        0
    }

    fn cancel(&self) {}
}

/// A running call. Dropping it cancels what is not finished, and ends the borrow of the request.
#[derive(Debug)]
pub(crate) struct Task<C: Owner> {
    raw: FezzTask,
    call: C,
    finished: bool,
}

// SAFETY: the contract lets a task be polled and dropped from any thread, by one at a time.
unsafe impl<C: Owner + Send> Send for Task<C> {}

impl Task<Call> {
    /// Starts a call that has this much time left. Must not block, and nothing is polled yet.
    pub(super) fn start(fetch_async: FetchAsyncFn, call: Call, left: Duration) -> Self {
        let mut raw = FezzTask::EMPTY;
        let request = call.begin(Some(left));
        let _inside = inflight::enter(call.function().number);
        // SAFETY: the request is valid for as long as `call` is, the task can be written.
        unsafe { fetch_async(request, &raw mut raw) };
        Self { raw, call, finished: false }
    }
}

impl Task<RemoteCall> {
    /// The same in a worker process.
    pub(super) fn start_remote(fetch_async: FetchAsyncFn, call: RemoteCall) -> Self {
        let mut raw = FezzTask::EMPTY;
        // SAFETY: the request is valid for as long as `call` is, the task can be written.
        unsafe { fetch_async(call.as_raw(), &raw mut raw) };
        Self { raw, call, finished: false }
    }
}

impl<C: Owner> Task<C> {
    /// Whose request it works on.
    pub(crate) const fn call(&self) -> &C {
        &self.call
    }

    /// Makes progress on this thread. Not called again when it is ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<RawReply, ReplyError>> {
        let Some(poll) = self.raw.poll else { return self.finish(Err(ReplyError::NotStarted)) };
        let waker = lend(cx.waker());
        let mut response = FezzResponse::EMPTY;
        let _inside = inflight::enter(self.call.number());
        // SAFETY: the task is not finished, and `&mut` makes this thread the only one; waker and response live until
        // it returns.
        let answer = unsafe { poll(self.raw.ctx, &raw const waker, &raw mut response) };
        // Also what a wrong answer left there wants to be released.
        let reply = RawReply::new(response);
        match answer {
            TASK_READY => self.finish(Ok(reply)),
            TASK_PENDING => Poll::Pending,
            other => self.finish(Err(ReplyError::TaskAnswer(other))),
        }
    }

    fn finish<T>(&mut self, with: T) -> Poll<T> {
        self.finished = true;
        Poll::Ready(with)
    }
}

impl<C: Owner> Drop for Task<C> {
    fn drop(&mut self) {
        if !self.finished {
            self.call.cancel();
        }
        let _inside = inflight::enter(self.call.number());
        if let Some(drop) = self.raw.drop {
            // SAFETY: once, and `&mut` says that nobody polls.
            unsafe { drop(self.raw.ctx) };
        }
    }
}
