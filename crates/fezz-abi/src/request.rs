//! The request of one call.

use core::sync::atomic::AtomicU32;

use crate::{FezzPairs, FezzSlice, FezzStream};

/// [`FezzRequest::http_version`]: HTTP/1.0.
pub const HTTP_1_0: u32 = 10;
/// [`FezzRequest::http_version`]: HTTP/1.1.
pub const HTTP_1_1: u32 = 11;
/// [`FezzRequest::http_version`]: HTTP/2.
pub const HTTP_2: u32 = 20;

/// Flag of [`FezzRequest::flags`]: the target has a `?` with nothing behind it.
pub const REQUEST_EMPTY_QUERY: u32 = 1;

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
    /// Since 1.1. The version that the client speaks: [`HTTP_1_0`], [`HTTP_1_1`] or [`HTTP_2`]; 0 where unknown.
    pub http_version: u32,
    /// Since 1.1. 0 or [`REQUEST_EMPTY_QUERY`].
    pub flags: u32,
    /// Since 1.1. `http` or `https`, as the client reached the host; empty where unknown.
    pub scheme: FezzSlice,
    /// Since 1.1. The authority of the request's target (absolute form, or HTTP/2's `:authority`); empty if it has none.
    pub authority: FezzSlice,
    /// Since 1.1. Trailers of the whole body; those of a `body_stream` come with its end.
    pub trailers: FezzPairs,
    /// Since 1.1. The protocol that the client asks to upgrade the connection to, as sent: `websocket`. Empty if there is
    /// no upgrade on offer; only then may the response be 101.
    pub upgrade: FezzSlice,
    /// Since 1.1. What the client sends after the upgrade; null if there is none on offer. Answers [`STREAM_PENDING`]
    /// until the response with 101 is taken. Valid as long as the request: retain it.
    ///
    /// [`STREAM_PENDING`]: crate::STREAM_PENDING
    pub upgraded: *const FezzStream,
}
