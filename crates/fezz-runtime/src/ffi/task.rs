//! A call of an `async fn`, started by `fezz_fetch_async` and polled by the host.

use std::task::{Context, Poll};
use std::time::Duration;

use fezz_abi::bridge::lend;
use fezz_abi::{FetchAsyncFn, FezzResponse, FezzTask, TASK_PENDING, TASK_READY};

use crate::sys::crash_record;

use super::call::Call;
use super::raw_reply::RawReply;
use super::reply::ReplyError;
use super::source::RequestSource;

/// A polled call. Dropping it before its end cancels it.
#[derive(Debug)]
pub struct Task<S: RequestSource> {
    raw: FezzTask,
    call: Call<S>,
    finished: bool,
}

// SAFETY: the contract lets a task be polled and dropped from any thread, by one at a time.
unsafe impl<S: RequestSource> Send for Task<S> {}

impl<S: RequestSource> Task<S> {
    /// Starts a call with this time until its deadline; `None` means no deadline. Does not poll yet.
    pub(super) fn start(fetch_async: FetchAsyncFn, call: Call<S>, left: Option<Duration>) -> Self {
        let mut raw = FezzTask::EMPTY;
        let request = call.begin(left);
        let _inside = crash_record::enter(call.source().function_number());
        // SAFETY: the request is valid while `call` lives, which the task owns; the task can be written.
        unsafe { fetch_async(request, &raw mut raw) };
        Self { raw, call, finished: false }
    }

    /// The call.
    #[must_use]
    pub const fn call(&self) -> &Call<S> {
        &self.call
    }

    /// Polls the call. Must not be called after it was ready.
    ///
    /// # Errors
    /// If the function violates the contract.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<RawReply, ReplyError>> {
        let Some(poll) = self.raw.poll else { return self.finish(Err(ReplyError::NotStarted)) };
        let waker = lend(cx.waker());
        let mut response = FezzResponse::EMPTY;
        let _inside = crash_record::enter(self.call.source().function_number());
        // SAFETY: the task is not finished, and `&mut` makes this thread the only one; waker and response live until
        // it returns.
        let answer = unsafe { poll(self.raw.ctx, &raw const waker, &raw mut response) };
        // Owned at once: an invalid response has to be released too.
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
            // SAFETY: called once, and `&mut` excludes a concurrent poll.
            unsafe { drop(self.raw.ctx) };
        }
    }
}
