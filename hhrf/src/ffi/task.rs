//! A call that is polled in place: what `fezz_fetch_async` starts.

use std::task::{Context, Poll};

use fezz_abi::bridge::lend;
use fezz_abi::{FetchAsyncFn, FezzResponse, FezzTask, TASK_PENDING, TASK_READY};

use super::Call;
use super::reply::{RawReply, ReplyError};

/// A running call. Dropping it cancels what is not finished, and ends the borrow of the request.
#[derive(Debug)]
pub(crate) struct Task {
    raw: FezzTask,
    call: Call,
    finished: bool,
}

// SAFETY: the contract lets a task be polled and dropped from any thread, by one at a time.
unsafe impl Send for Task {}

impl Task {
    /// Starts a call. Must not block, and nothing is polled yet.
    pub(super) fn start(fetch_async: FetchAsyncFn, call: Call) -> Self {
        let mut raw = FezzTask::EMPTY;
        let request = call.begin();
        // SAFETY: the request is valid for as long as `call` is, the task can be written.
        unsafe { fetch_async(request, &raw mut raw) };
        Self { raw, call, finished: false }
    }

    /// Makes progress on this thread. Not called again when it is ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<RawReply, ReplyError>> {
        let Some(poll) = self.raw.poll else { return self.finish(Err(ReplyError::NotStarted)) };
        let waker = lend(cx.waker());
        let mut response = FezzResponse::EMPTY;
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

impl Drop for Task {
    fn drop(&mut self) {
        if !self.finished {
            self.call.cancel();
        }
        if let Some(drop) = self.raw.drop {
            // SAFETY: once, and `&mut` says that nobody polls.
            unsafe { drop(self.raw.ctx) };
        }
    }
}
