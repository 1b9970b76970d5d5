//! Where a call's request comes from: an HTTP connection in the host, a socket in a worker process.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;

/// A request, by its parts. Everything is bytes: what was checked as text elsewhere is not checked again.
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
    /// Hands over each path parameter, decoded, in the order of the pattern.
    fn params(&self, to: &mut dyn FnMut(&[u8], &[u8]));
    /// Hands over each end-to-end header, in the order of the request.
    fn headers(&self, to: &mut dyn FnMut(&[u8], &[u8]));

    /// At most how many headers [`headers`](Self::headers) hands over.
    fn max_headers(&self) -> usize;

    /// The word that turns non-zero when the caller has gone; the function may read it at any time.
    fn cancelled(&self) -> &AtomicU32;

    /// Tells the function that the caller has gone.
    fn cancel(&self) {
        self.cancelled().store(1, Ordering::Relaxed);
    }

    /// The function's number in the [crash record](crate::sys::crash_record); 0 outside of a serving process.
    fn function_number(&self) -> u32 {
        0
    }
}

/// A body that comes in pieces.
pub trait Pieces: Send + fmt::Debug + 'static {
    /// The next piece, or why there is none. Not called again after an end or an error.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>>;
}

/// A request's body, in the form that the function asked for.
#[derive(Debug)]
pub enum CallBody {
    /// The whole body.
    Whole(Bytes),
    /// Pieces as they arrive.
    Stream(Box<dyn Pieces>),
}
