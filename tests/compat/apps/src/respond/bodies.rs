//! Bodies with and without a known length, and lengths that the application declares.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Response, StatusCode};
use axum::routing::{any, get};
use futures_util::stream;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, Limited, StreamBody};

use crate::Setup;
use crate::script::{Step, get as fetch, head, post, raw, steps};

/// Some chunks, and what it says of its size.
struct Chunks {
    left: usize,
    hint: SizeHint,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"chunk ")))))
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

fn unknown() -> Body {
    Body::from_stream(stream::iter(["one ", "two ", "three"].map(Ok::<_, std::convert::Infallible>)))
}

fn declared(length: &'static str, body: Body) -> Response<Body> {
    Response::builder().header(CONTENT_LENGTH, length).body(body).expect("a response")
}

pub(crate) fn router(_: &Setup) -> Router {
    let hint = |lower: u64, upper: Option<u64>| {
        let mut hint = SizeHint::new();
        hint.set_lower(lower);
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    };
    Router::new()
        .route("/full", any(|| async { Body::from("full") }))
        .route("/empty", any(|| async { Body::empty() }))
        .route("/empty-full", any(|| async { Body::new(Full::<Bytes>::default()) }))
        .route("/empty-empty", any(|| async { Body::new(Empty::<Bytes>::new()) }))
        .route("/stream", any(|| async { unknown() }))
        .route(
            "/stream-empty",
            any(|| async { Body::from_stream(stream::empty::<Result<Bytes, std::io::Error>>()) }),
        )
        .route(
            "/stream-of-empty",
            any(|| async { Body::from_stream(stream::iter(["", "a", ""].map(Ok::<_, std::io::Error>))) }),
        )
        .route(
            "/exact",
            any(move || async move { Body::new(Chunks { left: 3, hint: SizeHint::with_exact(18) }) }),
        )
        .route(
            "/bounded",
            any(move || async move { Body::new(Chunks { left: 3, hint: hint(1, Some(100)) }) }),
        )
        .route("/at-least", any(move || async move { Body::new(Chunks { left: 3, hint: hint(18, None) }) }))
        .route("/declared", any(|| async { declared("13", unknown()) }))
        .route("/declared-full", any(|| async { declared("4", Body::from("full")) }))
        .route("/declared-zero", any(|| async { declared("0", Body::empty()) }))
        .route(
            "/declared-head",
            any(|| async { declared("1234567", Body::empty()) })
                .get(|| async { declared("7", Body::from("content")) }),
        )
        .route("/boxed", any(|| async { Body::new(Full::new(Bytes::from_static(b"boxed")).boxed()) }))
        .route(
            "/limited",
            any(|| async { Body::new(Limited::new(Full::new(Bytes::from_static(b"within")), 100)) }),
        )
        .route(
            "/frames",
            any(|| async {
                Body::new(StreamBody::new(stream::iter([Ok::<_, std::io::Error>(Frame::data(
                    Bytes::from_static(b"frame"),
                ))])))
            }),
        )
        .route(
            "/chunked-header",
            any(|| async { ([("transfer-encoding", "chunked")], "said to be chunked") }),
        )
        .route("/large", any(|| async { vec![b'x'; 1_000_000] }))
        .route(
            "/large-stream",
            any(|| async {
                Body::from_stream(stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![b'y'; 10_000]))))
            }),
        )
        .route(
            "/own-head",
            get(|| async { "from GET" }).head(|| async { ([("x-own", "head")], StatusCode::ACCEPTED) }),
        )
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/full",
        "/empty",
        "/empty-full",
        "/empty-empty",
        "/stream",
        "/stream-empty",
        "/stream-of-empty",
        "/exact",
        "/bounded",
        "/at-least",
        "/declared",
        "/declared-full",
        "/declared-zero",
        "/declared-head",
        "/boxed",
        "/limited",
        "/frames",
        "/large",
        "/large-stream",
        "/own-head",
    ];
    let mut all = steps(
        paths.into_iter().flat_map(|path| [fetch(path), head(path), post(path)]).chain([fetch(
            "/chunked-header",
        )
        .http1_only()
        .as_written()]),
    );
    for path in paths {
        for (name, version, connection) in [
            ("1.0", "HTTP/1.0", "close"),
            ("1.0 keep-alive", "HTTP/1.0", "keep-alive\r\nx: y"),
            ("1.1 close", "HTTP/1.1", "close"),
        ] {
            for method in ["GET", "HEAD"] {
                // The second request ends the connection, where it is kept.
                let first =
                    format!("{method} {path} {version}\r\nhost: (host)\r\nconnection: {connection}\r\n\r\n");
                let second = if connection.starts_with("keep") {
                    "GET /full HTTP/1.0\r\nhost: (host)\r\n\r\n"
                } else {
                    ""
                };
                all.push(raw(format!("{name} {method} {path}"), &[&format!("{first}{second}")]));
            }
        }
    }
    all
}
