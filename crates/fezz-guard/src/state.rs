//! What a connection's guard and its service tell each other: why the last request was refused, and whether calls
//! are running. It lives as long as the connection and costs two atomics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use http::Method;

use super::Violation;

/// The method of the request that stands in for one that was refused. No client needs it; one that uses it anyway
/// finds an ordinary unknown method, because its connection has no verdict.
pub(crate) const REJECTED_METHOD: &str = "GUARD-REJECTED";

/// Shared by a connection's [`Guarded`](super::Guarded) socket and its service.
#[derive(Debug, Default)]
pub struct ConnectionState {
    violation: AtomicU8,
    in_flight: AtomicU32,
    /// Whether a call has begun since the guard last looked.
    active: AtomicBool,
    /// Whether an answer broke off in the middle.
    broken_off: AtomicBool,
}

impl ConnectionState {
    /// Why a request with `method` reached the service in place of the one that was sent; `None` for every request
    /// that is itself. It takes the method because a verdict can be there early: a good request may still be running
    /// when the guard judges the bad one pipelined behind it.
    pub fn rejection(&self, method: &Method) -> Option<Violation> {
        if method.as_str() == REJECTED_METHOD { self.violation() } else { None }
    }

    /// Counts one more call in flight until the result is dropped. Hold it until the response body is finished: the
    /// idle timer stands still meanwhile, however long a call or a stream is silent.
    pub fn begin(self: Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.active.store(true, Ordering::Release);
        InFlight(self)
    }

    pub(super) fn reject(&self, violation: Violation) {
        self.violation.store(violation.code(), Ordering::Release);
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        Violation::from_code(self.violation.load(Ordering::Acquire))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Ordering::Acquire)
    }

    /// Whether a call runs, or has begun since this was last asked.
    pub(super) fn was_busy(&self) -> bool {
        self.active.swap(false, Ordering::AcqRel) || self.is_busy()
    }
}

/// One call that runs on a connection.
#[derive(Debug)]
pub struct InFlight(Arc<ConnectionState>);

impl InFlight {
    /// The answer broke off after its head: the connection has to be reset, for its end would look like the answer's.
    pub fn break_off(&self) {
        self.0.broken_off.store(true, Ordering::Release);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
