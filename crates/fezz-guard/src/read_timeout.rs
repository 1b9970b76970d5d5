//! Head timeout and idle timeout of a connection, on one timer.
//!
//! A connection waits for one of three things:
//!
//! - the rest of a head: `header_timeout` counts from its first byte, for the first head from the accept;
//! - the next request: `idle_timeout` counts from the last write, or on HTTP/2 from the last request, and
//!   does not run while a request is in flight;
//! - a body: no timeout here.
//!
//! The connection has a single `Sleep`, allocated when the socket first has nothing to read. Requests do not
//! rearm it: when it fires before the current deadline, it is set to that deadline. Only a deadline earlier
//! than the armed one, such as that of a head after an idle period, rearms it at once.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The rest of a head whose timeout started at this instant.
    Head(Instant),
    /// The first byte of the next head.
    NextHead,
    /// The next request on an HTTP/2 connection.
    Http2Request,
    /// A body, which has no timeout here.
    Untimed,
}

/// Read timeouts of one connection.
#[derive(Debug)]
pub(super) struct ReadTimeout {
    header: Duration,
    idle: Duration,
    waiting: Waiting,
    /// Start of the idle period: the last write, or the last time that the timer fired and found a request in
    /// flight.
    idle_since: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl ReadTimeout {
    /// Starts the timeout of the first head.
    pub(super) fn start(header: Duration, idle: Duration) -> Self {
        let now = Instant::now();
        Self { header, idle, waiting: Waiting::Head(now), idle_since: now, sleep: None }
    }

    /// Restarts the idle period after a part of a response was written, which is now.
    pub(super) fn wrote(&mut self) -> Instant {
        self.idle_since = Instant::now();
        self.idle_since
    }

    /// Restarts the idle period since a response still drains.
    pub(super) fn drained(&mut self) {
        self.idle_since = Instant::now();
        self.rearm();
    }

    /// No byte of the next head has arrived: the idle timeout applies.
    pub(super) fn wait_for_next_head(&mut self) {
        self.waiting = Waiting::NextHead;
    }

    /// The connection speaks HTTP/2 from now on: the idle timeout applies.
    pub(super) fn wait_for_http2_request(&mut self) {
        self.waiting = Waiting::Http2Request;
        self.idle_since = Instant::now();
    }

    /// No timeout applies.
    pub(super) fn stop(&mut self) {
        self.waiting = Waiting::Untimed;
    }

    /// Part of a head has arrived: the head timeout applies. It starts anew for a new head only.
    pub(super) fn wait_for_head(&mut self, is_new: bool) {
        if is_new || !matches!(self.waiting, Waiting::Head(_)) {
            self.waiting = Waiting::Head(Instant::now());
        }
    }

    /// Ready when the current timeout has expired. Poll it only when the socket has nothing to read, so that
    /// data that arrived in time counts. `is_busy` tells whether a request is in flight or has been since its
    /// last call.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>, is_busy: impl Fn() -> bool) -> Poll<()> {
        while let Some(deadline) = self.deadline() {
            ready!(self.poll_sleep(cx, deadline));
            let now = Instant::now();
            if matches!(self.waiting, Waiting::NextHead | Waiting::Http2Request) && is_busy() {
                self.idle_since = now;
            } else if now >= deadline {
                return Poll::Ready(());
            }
            self.rearm();
        }
        Poll::Pending
    }

    /// A timer that has fired stays ready until it is reset.
    fn rearm(&mut self) {
        if let (Some(deadline), Some(sleep)) = (self.deadline(), &mut self.sleep) {
            sleep.as_mut().reset(deadline);
        }
    }

    /// `None` if no timeout applies, or if it is too long for an `Instant`.
    fn deadline(&self) -> Option<Instant> {
        match self.waiting {
            Waiting::Head(since) => since.checked_add(self.header),
            Waiting::NextHead | Waiting::Http2Request => self.idle_since.checked_add(self.idle),
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
