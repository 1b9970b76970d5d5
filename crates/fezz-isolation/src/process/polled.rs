//! Polls an `async fn` to its end, on the thread of its connection.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use fezz_runtime::ffi::{RawReply, ReplyError, Task};

use super::request::WorkerRequest;

/// Poll interval for the cancellation flag, which is shared memory: nothing wakes the thread when it changes.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(5);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls the task to its end; `None` if the call was cancelled. The task is dropped then, which cancels its future.
pub(super) fn poll_to_end(
    mut task: Task<WorkerRequest>,
    is_cancelled: &dyn Fn() -> bool,
) -> Option<Result<RawReply, ReplyError>> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(reply) = task.poll(&mut cx) {
            return Some(reply);
        }
        if is_cancelled() {
            return None;
        }
        thread::park_timeout(CANCEL_POLL_INTERVAL);
    }
}
