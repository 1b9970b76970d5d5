//! Responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::http::header::{CONTENT_LENGTH, TRAILER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

const SUM: HeaderName = HeaderName::from_static("x-sum");

pub(crate) async fn json() -> Json<Value> {
    Json(json!({ "a": 1 }))
}

pub(crate) async fn text() -> &'static str {
    "text"
}

pub(crate) async fn empty() {}

/// A body that knows its size, in frames of three bytes.
struct Frames(u64);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let left = self.0.checked_sub(1);
        Poll::Ready(left.map(|left| {
            self.0 = left;
            Ok(Frame::data(Bytes::from_static(b"abc")))
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0 * 3)
    }
}

pub(crate) async fn frames(Path(count): Path<u64>) -> Body {
    Body::new(Frames(count))
}

pub(crate) async fn large(Path(length): Path<usize>) -> Vec<u8> {
    vec![b'l'; length]
}

fn pieces(count: usize, length: usize) -> Body {
    let pieces = (0..count).map(move |_| Ok::<_, Infallible>(Bytes::from(vec![b'p'; length])));
    Body::from_stream(stream::iter(pieces))
}

pub(crate) async fn stream() -> Body {
    pieces(3, 4)
}

pub(crate) async fn declared(
    Path((declared, count, length)): Path<(String, usize, usize)>,
) -> impl IntoResponse {
    ([(CONTENT_LENGTH, declared)], pieces(count, length))
}

pub(crate) async fn wrong(Path(declared): Path<String>) -> impl IntoResponse {
    ([(CONTENT_LENGTH, declared)], "hello")
}

/// Knows the length without making the body.
pub(crate) async fn own_head() -> impl IntoResponse {
    [(CONTENT_LENGTH, "4")]
}

pub(crate) async fn status(Path(status): Path<u16>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, [(CONTENT_LENGTH, "4")], "body").into_response()
}

/// With the number of the bytes in a trailer; the body knows its length, or does not.
pub(crate) async fn trailers(Path(kind): Path<String>) -> impl IntoResponse {
    let trailers = HeaderMap::from_iter([(SUM, HeaderValue::from_static("7"))]);
    let known = Full::new(Bytes::from_static(b"trailed"));
    let data = if kind == "known" { Body::new(known) } else { Body::from_stream(known.into_data_stream()) };
    ([(TRAILER, "x-sum")], Body::new(data.with_trailers(async { Some(Ok(trailers)) })))
}

pub(crate) async fn forbidden_trailers() -> impl IntoResponse {
    let fields = [(SUM, "1"), (CONTENT_LENGTH, "99"), (HeaderName::from_static("connection"), "close")];
    let trailers = HeaderMap::from_iter(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let body = Full::new(Bytes::from_static(b"x")).with_trailers(async { Some(Ok(trailers)) });
    ([(TRAILER, "x-sum")], Body::new(body))
}

/// Sends back what comes while it comes, trailers included.
pub(crate) async fn mirror(request: Request) -> Body {
    request.into_body()
}
