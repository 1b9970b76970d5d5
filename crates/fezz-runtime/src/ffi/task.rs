//! A call that is polled in place: what `fezz_fetch_async` starts.

use std::task::{Context, Poll};
use std::time::Duration;

use fezz_abi::bridge::lend;
use fezz_abi::{FetchAsyncFn, FezzResponse, FezzTask, TASK_PENDING, TASK_READY};

use super::Call;
use super::reply::{RawReply, ReplyError};
use super::source::RequestSource;
use crate::sys::crash_record;

/// A running call. Dropping it cancels an unfinished one, and ends the borrow of the request.
#[derive(Debug)]
pub struct Task<S: RequestSource> {
    raw: FezzTask,
    call: Call<S>,
    finished: bool,
}

// SAFETY: the contract lets a task be polled and dropped from any thread, by one at a time.
unsafe impl<S: RequestSource> Send for Task<S> {}

impl<S: RequestSource> Task<S> {
    /// Starts a call that has this much time left; none means no deadline. Must not block; nothing is polled yet.
    pub(super) fn start(fetch_async: FetchAsyncFn, call: Call<S>, left: Option<Duration>) -> Self {
        let mut raw = FezzTask::EMPTY;
        let request = call.begin(left);
        let _inside = crash_record::enter(call.source().function_number());
        // SAFETY: the request is valid for as long as `call` is, the task can be written.
        unsafe { fetch_async(request, &raw mut raw) };
        Self { raw, call, finished: false }
    }

    /// The call that it works on.
    pub const fn call(&self) -> &Call<S> {
        &self.call
    }

    /// Makes progress on this thread. Not called again when it is ready.
    ///
    /// # Errors
    /// Where the function breaks the contract.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<RawReply, ReplyError>> {
        let Some(poll) = self.raw.poll else { return self.finish(Err(ReplyError::NotStarted)) };
        let waker = lend(cx.waker());
        let mut response = FezzResponse::EMPTY;
        let _inside = crash_record::enter(self.call.source().function_number());
        // SAFETY: the task is not finished, and `&mut` makes this thread the only one; waker and response live until
        // it returns.
        let answer = unsafe { poll(self.raw.ctx, &raw const waker, &raw mut response) };
        // Owned at once: what an invalid answer left there has to be released too.
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

impl<S: RequestSource> Drop for Task<S> {
    fn drop(&mut self) {
        if !self.finished {
            self.call.source().cancel();
        }
        let _inside = crash_record::enter(self.call.source().function_number());
        if let Some(drop) = self.raw.drop {
            // SAFETY: once, and `&mut` says that nobody polls.
            unsafe { drop(self.raw.ctx) };
        }
    }
}
