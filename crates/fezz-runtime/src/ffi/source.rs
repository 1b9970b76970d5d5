//! The source of a call's request: an HTTP connection in the host, a socket in a worker process.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use serde::{Deserialize, Serialize};

/// The parts of a request, all of them as bytes.
pub trait RequestSource: Send + Sync + fmt::Debug + 'static {
    /// The HTTP method.
    fn method(&self) -> &[u8];
    /// The path below the function's prefix, beginning with `/`.
    fn path(&self) -> &[u8];
    /// The query without its `?`; empty if there is none.
    fn query(&self) -> &[u8];
    /// The pattern of the route that matched.
    fn route(&self) -> &[u8];
    /// The request's id.
    fn request_id(&self) -> &[u8];
    /// The `traceparent` header (W3C Trace Context); empty if there is none.
    fn traceparent(&self) -> &[u8];
    /// The client's address and port.
    fn client_addr(&self) -> &[u8];
    /// The client's version of HTTP, as the C contract numbers it; 0 where unknown.
    fn http_version(&self) -> u32 {
        0
    }
    /// The request's flags, as the C contract numbers them.
    fn flags(&self) -> u32 {
        0
    }
    /// `http` or `https`; empty where unknown.
    fn scheme(&self) -> &[u8] {
        b""
    }
    /// The authority of the request's target; empty if it has none.
    fn authority(&self) -> &[u8] {
        b""
    }

    /// Passes each path parameter to `to`, name and decoded value, in the order of the pattern.
    fn params(&self, to: &mut dyn FnMut(&[u8], &[u8]));
    /// Passes each end-to-end header to `to`, name and value, in the order of the request.
    fn headers(&self, to: &mut dyn FnMut(&[u8], &[u8]));
    /// Passes each trailer of a whole body to `to`, name and value.
    fn trailers(&self, _to: &mut dyn FnMut(&[u8], &[u8])) {}

    /// Upper bound of the number of headers, for allocation.
    fn max_headers(&self) -> usize;

    /// The cancellation flag: not 0 once the caller has gone. The function may read it at any time.
    fn cancelled(&self) -> &AtomicU32;

    /// Sets the cancellation flag.
    fn cancel(&self) {
        self.cancelled().store(1, Ordering::Relaxed);
    }

    /// The protocol that the client asks to upgrade its connection to; empty if no upgrade is on offer.
    fn upgrade(&self) -> &[u8] {
        &[]
    }

    /// What the client sends after the upgrade on offer. Taken once, when the call is built.
    fn take_upgraded(&mut self) -> Option<Box<dyn Pieces>> {
        None
    }

    /// The function's number in the [crash record](crate::sys::crash_record); 0 if there is none.
    fn function_number(&self) -> u32 {
        0
    }
}

/// What a function reads in pieces: a request's body, or an upgraded connection.
pub trait Pieces: Send + fmt::Debug + 'static {
    /// The next piece; `None` and trailers are the end, an error says why it broke off. Must not be called after any
    /// of these.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>>;
}

/// How a function takes request bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestBodies {
    /// Each of them whole.
    #[default]
    Whole,
    /// Each of them as a stream.
    Streamed,
    /// As a stream, unless it is short.
    StreamedIfLong,
}

/// A request's body.
#[derive(Debug)]
pub enum CallBody {
    /// The whole body.
    Whole(Bytes),
    /// Pieces as they arrive.
    Stream(Box<dyn Pieces>),
}
