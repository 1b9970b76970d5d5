//! [`BodyStream`]: a request's body as a stream.

use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http_body::{Frame, SizeHint};

use crate::BoxError;
use crate::body::take;
use crate::entry::upload::Upload;
use crate::extract::FromRequest;
use crate::{FezzError, FezzHttpRequest};

/// A request's body, chunk by chunk. With `stream` in the attribute the chunks are read as the client sends them, with
/// backpressure; without it, the buffered body is one chunk.
///
/// In an `async fn` it is a [`Stream`]; in a plain `fn` it is [`Read`]. A request's body can be streamed once.
///
/// ```
/// use fezz_sdk::{BodyStream, FezzError, fezz_function};
///
/// #[fezz_function(stream)]
/// pub async fn count(mut body: BodyStream) -> Result<String, FezzError> {
///     let mut bytes = 0;
///     while let Some(chunk) = body.next().await {
///         bytes += chunk?.len();
///     }
///     Ok(format!("{bytes} bytes"))
/// }
/// ```
#[derive(Debug)]
pub struct BodyStream {
    source: Source,
    /// The unread part of the current chunk, for [`Read`].
    rest: Bytes,
}

#[derive(Debug)]
enum Source {
    Buffered(Bytes),
    Streamed(Upload),
}

/// An incomplete request body: the client disconnected, was too slow, or sent more than the limit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyStreamError(String);

impl BodyStream {
    pub(crate) const fn buffered(body: Bytes) -> Self {
        Self { source: Source::Buffered(body), rest: Bytes::new() }
    }

    pub(crate) const fn streamed(upload: Upload) -> Self {
        Self { source: Source::Streamed(upload), rest: Bytes::new() }
    }

    /// The next chunk; none at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyStreamError>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next chunk; blocks until it is available.
    pub fn next_blocking(&mut self) -> Option<Result<Bytes, BodyStreamError>> {
        match &mut self.source {
            Source::Buffered(body) => take(body),
            Source::Streamed(upload) => data(upload.next_blocking()),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyStreamError>>> {
        match &mut self.source {
            Source::Buffered(body) => Poll::Ready(take(body)),
            Source::Streamed(upload) => upload.poll_next(cx).map(data),
        }
    }
}

/// The data of a frame; trailers are the end.
fn data(frame: Option<Result<Frame<Bytes>, String>>) -> Option<Result<Bytes, BodyStreamError>> {
    match frame? {
        Ok(frame) => frame.into_data().ok().map(Ok),
        Err(error) => Some(Err(BodyStreamError(error))),
    }
}

/// A request's body as a router reads it: with its trailers, and with the size that the client has announced.
pub(crate) struct RequestBody {
    upload: Upload,
    /// What is left of it.
    left: Option<u64>,
}

impl RequestBody {
    pub(crate) const fn new(upload: Upload, length: Option<u64>) -> Self {
        Self { upload, left: length }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.upload.poll_next(cx));
        if let (Some(left), Some(Ok(frame))) = (&mut self.left, &frame) {
            *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyStreamError(error).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.upload.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, BodyStreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl Read for BodyStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.next_blocking() {
                Some(chunk) => self.rest = chunk.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buf.len());
        self.rest.copy_to_slice(&mut buf[..count]);
        Ok(count)
    }
}

impl FromRequest for BodyStream {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        request
            .body_stream()
            .ok_or_else(|| FezzError::internal("the body's stream was taken before; a request has one"))
    }
}
