//! [`BodyStream`]: a request's body as it arrives.

use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_core::Stream;

use crate::entry::upload::Upload;
use crate::extract::FromRequest;
use crate::{FezzError, FezzHttpRequest};

/// A request's body, a piece at a time. Where the attribute says `stream` the pieces are read as the client sends them,
/// no faster than the function asks for them; else there is one piece, the whole.
///
/// In an `async fn` it is a [`Stream`]; in a plain `fn` it is [`Read`]. It can be had once for each request.
///
/// ```
/// use fezz_sdk::{BodyStream, FezzError, fezz_function};
///
/// #[fezz_function(stream)]
/// pub async fn count(mut body: BodyStream) -> Result<String, FezzError> {
///     let mut bytes = 0;
///     while let Some(piece) = body.next().await {
///         bytes += piece?.len();
///     }
///     Ok(format!("{bytes} bytes"))
/// }
/// ```
#[derive(Debug)]
pub struct BodyStream {
    source: Source,
    /// What a reader has not taken yet.
    rest: Bytes,
}

#[derive(Debug)]
enum Source {
    Whole(Bytes),
    Upload(Upload),
}

/// A request's body that broke off: the client left, was too slow, or sent more than the function takes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyStreamError(String);

impl BodyStream {
    pub(crate) const fn whole(body: Bytes) -> Self {
        Self { source: Source::Whole(body), rest: Bytes::new() }
    }

    pub(crate) const fn upload(upload: Upload) -> Self {
        Self { source: Source::Upload(upload), rest: Bytes::new() }
    }

    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyStreamError>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next piece; blocks until it is there.
    pub fn next_blocking(&mut self) -> Option<Result<Bytes, BodyStreamError>> {
        match &mut self.source {
            Source::Whole(body) => take(body),
            Source::Upload(upload) => upload.next_blocking().map(|piece| piece.map_err(BodyStreamError)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyStreamError>>> {
        match &mut self.source {
            Source::Whole(body) => Poll::Ready(take(body)),
            Source::Upload(upload) => {
                upload.poll_next(cx).map(|piece| piece.map(|piece| piece.map_err(BodyStreamError)))
            }
        }
    }
}

fn take(body: &mut Bytes) -> Option<Result<Bytes, BodyStreamError>> {
    Some(std::mem::take(body)).filter(|body| !body.is_empty()).map(Ok)
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
                Some(piece) => self.rest = piece.map_err(io::Error::other)?,
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
