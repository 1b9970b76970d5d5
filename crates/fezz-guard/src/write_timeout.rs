//! Write timeout: ends a connection whose client accepts no data.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Timer of pending writes. It is not touched while the socket accepts data.
#[derive(Debug)]
pub(super) struct WriteTimeout {
    limit: Duration,
    /// Whether the last write was pending, so that the timer runs.
    pending: bool,
    /// Allocated by the first pending write.
    timer: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeout {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, pending: false, timer: None }
    }

    /// Passes on the result of a write. A write that has been pending for the whole limit becomes an error.
    pub(super) fn apply<T>(
        &mut self,
        write: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.pending = false;
            return write;
        }
        ready!(self.poll_expired(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "write timeout: the client accepts no data")))
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.pending {
            self.pending = true;
            timer.as_mut().reset(Instant::now() + self.limit);
        }
        timer.as_mut().poll(cx)
    }
}
