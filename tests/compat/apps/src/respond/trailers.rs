//! Trailers of answers, and of requests.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::routing::{any, get, post};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, raw, steps};

fn trailers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn with(data: &'static [&'static str], pairs: &'static [(&'static str, &'static str)]) -> Body {
    let frames = data.iter().map(|data| Frame::data(Bytes::from_static(data.as_bytes())));
    let frames = frames.chain([Frame::trailers(trailers(pairs))]);
    Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, std::convert::Infallible>))))
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route(
            "/announced",
            get(|| async { ([(header::TRAILER, "x-sum")], with(&["a", "b"], &[("x-sum", "7")])) }),
        )
        .route(
            "/several",
            get(|| async {
                ([(header::TRAILER, "x-sum, x-more")], with(&["a"], &[("x-sum", "7"), ("x-more", "8")]))
            }),
        )
        .route("/unannounced", get(|| async { with(&["a"], &[("x-sum", "7")]) }))
        .route("/alone", get(|| async { ([(header::TRAILER, "x-sum")], with(&[], &[("x-sum", "7")])) }))
        .route(
            "/forbidden",
            get(|| async {
                (
                    [(header::TRAILER, "content-length, host")],
                    with(&["a"], &[("content-length", "7"), ("host", "x")]),
                )
            }),
        )
        .route(
            "/known-length",
            get(|| async {
                (
                    [(header::TRAILER, "x-sum")],
                    Body::new(
                        Full::new(Bytes::from_static(b"full"))
                            .with_trailers(async { Some(Ok(trailers(&[("x-sum", "7")]))) }),
                    ),
                )
            }),
        )
        .route("/echo", any(|body: Body| async move { ([(header::TRAILER, "x-sum")], body) }))
        .route("/read", post(read))
}

async fn read(body: Body) -> String {
    match body.collect().await {
        Ok(collected) => format!("{:?} {:?}", collected.trailers().cloned(), collected.to_bytes()),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn script() -> Vec<Step> {
    let paths = ["/announced", "/several", "/unannounced", "/alone", "/forbidden", "/known-length"];
    let gets = paths.into_iter().flat_map(|path| [fetch(path), fetch(path).header("te", "trailers")]);
    let posts = ["/echo", "/read"].into_iter().flat_map(|path| {
        [
            send(path).chunks(&["a", "b"]).trailer("x-sum", "7"),
            send(path).chunks(&["a"]).trailer("x-sum", "7").trailer("x-more", "8").header("te", "trailers"),
            send(path).chunks(&[]).trailer("x-sum", "7").header("te", "trailers").header("trailer", "x-sum"),
            send(path).body("ab").header("te", "trailers"),
            send(path).chunks(&["a"]).trailer("x-sum", "1").trailer("x-sum", "2"),
        ]
    });
    let mut all = steps(gets.chain(posts));
    let body = "3\r\nabc\r\n0\r\nx-sum: 7\r\nX-MORE:  8 \r\n\r\n";
    for path in ["/echo", "/read"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: (host)\r\nte: trailers\r\nconnection: close, te\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        all.push(raw(format!("trailers {path}"), &[&head, body]));
        all.push(raw(
            format!("forbidden trailers {path}"),
            &[&head, "3\r\nabc\r\n0\r\ncontent-length: 7\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n"],
        ));
        all.push(raw(format!("chunk extensions {path}"), &[&head, "3;a=b\r\nabc\r\n0;c\r\n\r\n"]));
    }
    all
}
