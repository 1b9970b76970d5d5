//! The request of one call.

use core::sync::atomic::AtomicU32;

use crate::{FezzPairs, FezzSlice, FezzStream};

/// One request, borrowed from the host.
///
/// Everything in it is valid until the call ends: when `fezz_fetch` returns, or the task of `fezz_fetch_async` is
/// dropped. A function that needs it for longer (a detached thread, a streamed response) calls [`retain`](Self::retain)
/// and, as often, [`release`](Self::release); both may be called from any thread.
#[repr(C)]
#[derive(Debug)]
pub struct FezzRequest {
    /// `sizeof(FezzRequest)` in the host.
    pub size: usize,
    /// Method, as sent: `GET`.
    pub method: FezzSlice,
    /// Path below the function's own prefix, percent-encoded as sent: `/todos/7`.
    pub path: FezzSlice,
    /// Query without its `?`, as sent; empty if there is none.
    pub query: FezzSlice,
    /// The route of `fezz.json` that matched: `/todos/{id}`.
    pub route: FezzSlice,
    /// Path parameters in the order of the route, percent-decoded UTF-8.
    pub params: FezzPairs,
    /// Headers: lower-case names that may repeat, values of any bytes. Hop-by-hop headers are removed.
    pub headers: FezzPairs,
    /// The whole body; empty if `body_stream` is set.
    pub body: FezzSlice,
    /// The body as a stream, if the function asked for one; else null. Read by the function.
    pub body_stream: *const FezzStream,
    /// Id of the request (`x-request-id`), visible ASCII.
    pub request_id: FezzSlice,
    /// W3C `traceparent` as sent; empty if there is none.
    pub traceparent: FezzSlice,
    /// The client's address as text, `127.0.0.1:51234`.
    pub client_addr: FezzSlice,
    /// Nanoseconds from the start of the call to its deadline; 0 if there is no deadline.
    pub time_left_ns: u64,
    /// Becomes 1 when the response is no longer wanted (deadline, client gone); read it atomically.
    pub cancelled: *const AtomicU32,
    /// Adds a reference: this request, and all that it points to, stays valid until one more `release`.
    pub retain: unsafe extern "C" fn(request: *const Self),
    /// Drops a reference of `retain`; the request must not be used after the last.
    pub release: unsafe extern "C" fn(request: *const Self),
}
