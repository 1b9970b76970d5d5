//! An `async fn` in a worker: polled on the thread of its slot, which has nothing else to do.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use fezz_runtime::ffi::{RawReply, ReplyError, Task};

use super::request::WorkerRequest;

/// How often it is looked whether anybody still waits for the answer; nothing wakes the thread for that.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(5);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls the task to its end; none where it was given up, because nobody waits any more. It is dropped then, which
/// cancels it for real.
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
