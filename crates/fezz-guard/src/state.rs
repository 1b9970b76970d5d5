//! State shared by a connection's guard and its service: the violation, if any, and the requests in flight.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use http::Method;

use super::Violation;

/// Method of the request that replaces a rejected one.
pub(crate) const REJECTED_METHOD: &str = "GUARD-REJECTED";

/// State of one connection, shared by its [`Guarded`](super::Guarded) socket and its service.
///
/// The guard records a violation here; the service records the requests that it is serving.
#[derive(Debug, Default)]
pub struct ConnectionState {
    violation: AtomicU8,
    in_flight: AtomicU32,
    /// Whether a request has begun since the idle timer last fired.
    active: AtomicBool,
    /// Whether a part of the response to the latest request was written.
    answered: AtomicBool,
    /// Whether a response was truncated.
    broken_off: AtomicBool,
    /// An [`Offer`].
    offer: AtomicU8,
    /// Waits for its decision.
    undecided: Mutex<Option<Waker>>,
}

/// What is known of the upgrade that the latest head asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Offer {
    /// It asks for none.
    None,
    /// The service has not decided yet. Goes to one of the next two.
    Open,
    /// The connection goes on as HTTP/1. Goes to `None`.
    Declined,
    /// What follows is another protocol. Final.
    Accepted,
}

impl ConnectionState {
    /// Why the guard replaced a request, or `None` for a request that the client sent itself.
    ///
    /// Call it for each request, with the request's method, and respond to a violation in place of serving
    /// the request. Which status fits is the caller's choice: 431 for [`Violation::TooManyHeaders`] and
    /// [`Violation::HeadTooLarge`], 414 for [`Violation::TargetTooLong`], 408 for [`Violation::HeadTimeout`]
    /// and otherwise 400 are usual.
    ///
    /// The method is needed because the violation can be known early: a valid request may still be served
    /// when the guard rejects the one pipelined behind it. A client that sends the replacement's method
    /// itself gets `None`.
    pub fn rejection(&self, method: &Method) -> Option<Violation> {
        if method.as_str() == REJECTED_METHOD { self.violation() } else { None }
    }

    /// Counts a request as in flight until the result is dropped.
    ///
    /// Hold the result until the response body is finished: the idle timeout does not run meanwhile, no
    /// matter how long the service or a stream is silent.
    pub fn begin(self: Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.active.store(true, Ordering::Release);
        self.answered.store(false, Ordering::Release);
        InFlight(self)
    }

    pub(super) fn set_offer(&self, offer: Offer) {
        self.offer.store(offer as u8, Ordering::Release);
    }

    /// Decides on the offer, and has the socket go on.
    pub(super) fn decide(&self, offer: Offer) {
        self.set_offer(offer);
        let waker = self.undecided.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The offer; its decision wakes the task.
    pub(super) fn poll_offer(&self, cx: &Context<'_>) -> Offer {
        *self.undecided.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        self.offer()
    }

    pub(super) fn offer(&self) -> Offer {
        let all = [Offer::None, Offer::Open, Offer::Declined, Offer::Accepted];
        all[usize::from(self.offer.load(Ordering::Acquire)) % all.len()]
    }

    pub(super) fn reject(&self, violation: Violation) {
        self.violation.store(violation.code(), Ordering::Release);
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        Violation::from_code(self.violation.load(Ordering::Acquire))
    }

    pub(super) fn wrote(&self) {
        if !self.answered.load(Ordering::Relaxed) {
            self.answered.store(true, Ordering::Release);
        }
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Ordering::Acquire)
    }

    /// Whether a request is in flight, or has begun since the last call of this method.
    pub(super) fn was_busy(&self) -> bool {
        self.active.swap(false, Ordering::AcqRel) || self.is_busy()
    }
}

/// A request in flight: it stops the idle timeout of its connection until it is dropped.
///
/// Made by [`ConnectionState::begin`].
#[derive(Debug)]
pub struct InFlight(Arc<ConnectionState>);

impl InFlight {
    /// Records that the response ended early, after its head was sent: the connection is reset when it
    /// closes.
    ///
    /// Without the reset, a client may take the end of the connection for the end of the body (RFC 9112
    /// section 8). Use it for HTTP/1 only: HTTP/2 resets the stream, and the other streams of the connection
    /// go on.
    pub fn break_off(&self) {
        self.0.broken_off.store(true, Ordering::Release);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
