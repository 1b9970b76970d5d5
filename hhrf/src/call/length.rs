//! A streamed response whose length its function has declared with `content-length`.
//!
//! The client relies on that length, so the stream is held to it: the last piece is handed out only when the function has
//! ended its stream there. A stream of another length breaks off, which resets the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use fezz_runtime::ffi::{ReplyError, StreamError};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};

use super::stream::report_broken;
use crate::function::Function;

/// The body of a stream, held to the length that the headers declare.
pub(super) fn held<B>(
    headers: &mut HeaderMap,
    body: B,
    function: &Arc<Function>,
    request_id: &HeaderValue,
) -> Result<Body, ReplyError>
where
    B: http_body::Body<Data = Bytes, Error = StreamError> + Send + Unpin + 'static,
{
    let Some(declared) = declared(headers)? else { return Ok(Body::new(body)) };
    if declared == 0 {
        // Nobody would ask the stream for its end, nor find out that it has more.
        headers.remove(CONTENT_LENGTH);
    }
    let (function, request_id) = (Arc::clone(function), request_id.clone());
    let state = State::Reading { body, last: None };
    Ok(Body::new(HeldToLength { state, declared, left: declared, function, request_id }))
}

fn declared(headers: &HeaderMap) -> Result<Option<u64>, ReplyError> {
    // Comparing the names of a few headers costs less than hashing one.
    let mut values = headers.iter().filter(|(name, _)| *name == CONTENT_LENGTH).map(|(_, value)| value);
    let Some(first) = values.next() else { return Ok(None) };
    let error = |value: &HeaderValue| {
        ReplyError::ContentLength(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    if let Some(other) = values.find(|value| *value != first) {
        return Err(error(other));
    }
    parse_length(first).map(Some).ok_or_else(|| error(first))
}

/// The number in a `content-length`.
pub(crate) fn parse_length(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

struct HeldToLength<B> {
    state: State<B>,
    declared: u64,
    /// What the client has not been given yet.
    left: u64,
    function: Arc<Function>,
    request_id: HeaderValue,
}

enum State<B> {
    /// Goes to `Ending` or `Done`. `last` is the piece that completes the length.
    Reading { body: B, last: Option<Bytes> },
    /// Everything but its trailers was handed out. Goes to `Done`.
    Ending(HeaderMap),
    /// At the end, or broken off.
    Done,
}

impl<B> http_body::Body for HeldToLength<B>
where
    B: http_body::Body<Data = Bytes, Error = StreamError> + Unpin,
{
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let this = &mut *self;
        loop {
            let (body, last) = match &mut this.state {
                State::Reading { body, last } => (body, last),
                State::Ending(trailers) => {
                    let trailers = std::mem::take(trailers);
                    this.state = State::Done;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                State::Done => return Poll::Ready(None),
            };
            let held = last.as_ref().map_or(0, Bytes::len) as u64;
            let data = match ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if data.is_empty() => continue,
                Some(Ok(Ok(data))) => data,
                Some(Err(error)) => {
                    this.state = State::Done;
                    return Poll::Ready(Some(Err(error)));
                }
                end if this.left == held => {
                    let last = last.take().map(|last| Ok(Frame::data(last)));
                    this.left = 0;
                    this.state = match end {
                        Some(Ok(Err(frame))) => State::Ending(frame.into_trailers().unwrap_or_default()),
                        _ => State::Done,
                    };
                    if last.is_some() {
                        return Poll::Ready(last);
                    }
                    continue;
                }
                _ => return this.breaks_off("fewer"),
            };
            match (this.left - held).checked_sub(data.len() as u64) {
                None => return this.breaks_off("more"),
                Some(0) => *last = Some(data),
                Some(left) => {
                    this.left = left;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.declared == 0 { SizeHint::default() } else { SizeHint::with_exact(self.left) }
    }
}

impl<B> HeldToLength<B> {
    fn breaks_off<T>(&mut self, found: &'static str) -> Poll<Option<Result<T, StreamError>>> {
        // Dropped at once, which ends the function's work.
        self.state = State::Done;
        let error = StreamError::Length { declared: self.declared, found };
        report_broken(&self.function, &self.request_id, &error);
        Poll::Ready(Some(Err(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits() {
        for (text, length) in
            [("0", Some(0)), ("17", Some(17)), ("+1", None), ("", None), ("1, 1", None), ("1e3", None)]
        {
            assert_eq!(parse_length(&HeaderValue::from_static(text)), length, "{text}");
        }
        assert_eq!(parse_length(&HeaderValue::from_static("99999999999999999999")), None);
    }
}
