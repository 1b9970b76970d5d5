//! How long a client may take nothing of what is sent to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// The clock of writes that wait. It costs nothing while the socket takes what comes.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Duration,
    waiting: bool,
    /// Made when a write first has to wait.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, waiting: false, timer: None }
    }

    /// Passes on what became of a write; one that has waited for too long is an error.
    pub(super) fn time<T>(
        &mut self,
        write: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.waiting = false;
            return write;
        }
        ready!(self.poll_over(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + self.limit);
        }
        timer.as_mut().poll(cx)
    }
}
