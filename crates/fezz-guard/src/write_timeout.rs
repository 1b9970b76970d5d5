//! Write timeout: ends a connection whose client accepts no data.
//!
//! A socket takes further bytes only once a good part of its buffer is free. So a slow client is told from one that accepts
//! nothing by what it has acknowledged, if the transport knows that.

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
    /// What was not acknowledged when the timer began.
    unsent: Option<usize>,
    /// Allocated by the first pending write.
    timer: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeout {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, pending: false, unsent: None, timer: None }
    }

    /// Passes on the result of a write. A write that has been pending for the whole limit becomes an error.
    pub(super) fn apply<T>(
        &mut self,
        write: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
        unsent: impl Fn() -> Option<usize>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.pending = false;
            return write;
        }
        ready!(self.poll_expired(cx, unsent));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "write timeout: the client accepts no data")))
    }

    /// Whether the last write was pending.
    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>, unsent: impl Fn() -> Option<usize>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.pending {
            self.pending = true;
            self.unsent = unsent();
            timer.as_mut().reset(Instant::now() + self.limit);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = unsent();
            if now.is_none() || now >= self.unsent {
                return Poll::Ready(());
            }
            self.unsent = now;
            timer.as_mut().reset(Instant::now() + self.limit);
        }
    }
}
