//! How long a connection may be silent, without a timer for each request.
//!
//! A connection waits for one of three things. For the rest of a head, `header_timeout` counts from its first byte,
//! or from the accept for the first head. For the next request, `idle_timeout` counts from the last write, and stands
//! still while a call runs; over HTTP/2 it counts from the last call. For a body no time counts here: that is the application's business.
//!
//! There is one `Sleep` a connection, made when the socket first has nothing to read. A request that comes does not
//! touch it: when it fires too early for what is waited for by then, it is set again to the real deadline. Only a
//! deadline that is *earlier* than the armed one, as that of a head after an idle time, moves it at once.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The rest of a head that may be complete a `header_timeout` after this instant.
    Head(Instant),
    /// The first byte of the next head.
    Next,
    /// The next call on an HTTP/2 connection, where writes are no sign of one: pings are answered too.
    Call,
    /// A body, or nothing that this clock measures.
    Untimed,
}

/// The clock of one connection.
#[derive(Debug)]
pub(super) struct Clock {
    header: Duration,
    idle: Duration,
    waiting: Waiting,
    /// Since when nothing has been written and, as far as the timer has looked, no call has run.
    quiet_since: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Starts with the accept: the first head has to come in time, with no idle time before it.
    pub(super) fn start(header: Duration, idle: Duration) -> Self {
        let now = Instant::now();
        Self { header, idle, waiting: Waiting::Head(now), quiet_since: now, sleep: None }
    }

    /// The connection has written something.
    pub(super) fn wrote(&mut self) {
        if self.waiting != Waiting::Call {
            self.quiet_since = Instant::now();
        }
    }

    /// The head that had begun, if any, is complete, and nothing of the next has come.
    pub(super) fn wait_for_next(&mut self) {
        self.waiting = Waiting::Next;
    }

    /// The connection speaks HTTP/2 from now on.
    pub(super) fn wait_for_call(&mut self) {
        self.waiting = Waiting::Call;
        self.quiet_since = Instant::now();
    }

    /// Nothing is waited for that has a deadline here.
    pub(super) fn stop(&mut self) {
        self.waiting = Waiting::Untimed;
    }

    /// Bytes of a head are there. Only those of another head than before count as its first ones.
    pub(super) fn wait_for_head(&mut self, is_new: bool) {
        if is_new || !matches!(self.waiting, Waiting::Head(_)) {
            self.waiting = Waiting::Head(Instant::now());
        }
    }

    /// Ready when the time is over. Poll it only when the socket has nothing to read, so that what has come in time
    /// counts. `is_busy` says whether a call runs on the connection, or has run since it was last asked.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>, is_busy: impl Fn() -> bool) -> Poll<()> {
        while let Some(deadline) = self.deadline() {
            ready!(self.poll_sleep(cx, deadline));
            let now = Instant::now();
            if matches!(self.waiting, Waiting::Next | Waiting::Call) && is_busy() {
                self.quiet_since = now;
            } else if now >= deadline {
                return Poll::Ready(());
            }
            self.rearm();
        }
        Poll::Pending
    }

    /// A timer that has fired stays ready until it is set again.
    fn rearm(&mut self) {
        if let (Some(deadline), Some(sleep)) = (self.deadline(), &mut self.sleep) {
            sleep.as_mut().reset(deadline);
        }
    }

    /// `None` too for a limit so long that no clock holds it.
    fn deadline(&self) -> Option<Instant> {
        match self.waiting {
            Waiting::Head(since) => since.checked_add(self.header),
            Waiting::Next | Waiting::Call => self.quiet_since.checked_add(self.idle),
            Waiting::Untimed => None,
        }
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}
