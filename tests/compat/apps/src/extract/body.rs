//! Bodies: as text, as bytes, as a stream, as a reader, and limits on them.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::StringRejection;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum_extra::body::AsyncReadBody;
use futures_util::TryStreamExt;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use crate::Setup;
use crate::script::{Request as Sent, Step, get, post as send, put, raw, steps};

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/text", any(|text: String| async move { text }))
        .route("/bytes", any(|bytes: Bytes| async move { bytes }))
        .route("/length", any(|bytes: Bytes| async move { bytes.len().to_string() }))
        .route("/echo", any(|body: Body| async move { body }))
        .route("/echo-request", any(|request: Request| async move { request.into_body() }))
        .route("/hint", any(hint))
        .route("/reader", any(reader))
        .route("/collect", any(collect))
        .route("/to-bytes", any(limited))
        .route("/ignored", any(|| async { "not read" }))
        .route("/result", any(result))
        .route(
            "/small",
            post(|bytes: Bytes| async move { bytes.len().to_string() }).layer(DefaultBodyLimit::max(10)),
        )
        .route("/small-text", post(|text: String| async move { text }).layer(DefaultBodyLimit::max(10)))
        .route("/small-echo", post(|body: Body| async move { body }).layer(DefaultBodyLimit::max(10)))
        .route(
            "/unlimited",
            post(|bytes: Bytes| async move { bytes.len().to_string() }).layer(DefaultBodyLimit::disable()),
        )
        .route("/from-reader", any(|| async { AsyncReadBody::new(&b"read from a reader"[..]) }))
}

async fn hint(body: Body) -> String {
    let hint = body.size_hint();
    format!("{} {:?} {}", hint.lower(), hint.upper(), body.is_end_stream())
}

async fn reader(body: Body) -> Response {
    let mut reader = StreamReader::new(TryStreamExt::map_err(body.into_data_stream(), std::io::Error::other));
    let mut text = String::new();
    match reader.read_to_string(&mut text).await {
        Ok(length) => format!("{length}: {text}").into_response(),
        Err(error) => error.to_string().into_response(),
    }
}

async fn collect(body: Body) -> Response {
    match body.collect().await {
        Ok(collected) => {
            let trailers = format!("{:?}", collected.trailers());
            format!("{} bytes, trailers: {trailers}", collected.to_bytes().len()).into_response()
        }
        Err(error) => error.to_string().into_response(),
    }
}

async fn limited(body: Body) -> String {
    to_bytes(body, 100).await.map_or_else(|error| error.to_string(), |bytes| bytes.len().to_string())
}

async fn result(text: Result<String, StringRejection>) -> String {
    match text {
        Ok(text) => text,
        Err(StringRejection::InvalidUtf8(error)) => error.to_string(),
        Err(other) => other.body_text(),
    }
}

const PATHS: [&str; 15] = [
    "/text",
    "/bytes",
    "/length",
    "/echo",
    "/echo-request",
    "/hint",
    "/reader",
    "/collect",
    "/to-bytes",
    "/ignored",
    "/result",
    "/small",
    "/small-text",
    "/small-echo",
    "/unlimited",
];

fn requests(path: &'static str) -> Vec<Sent> {
    vec![
        get(path),
        send(path),
        send(path).body(""),
        send(path).body("ten bytes!"),
        send(path).body("eleven byte"),
        put(path).body("caf\u{e9}"),
        send(path).body(vec![0xff, 0xfe]),
        send(path).body("x".repeat(101)),
        send(path).body("y".repeat(100_000)),
        send(path).chunks(&["one ", "two"]),
        send(path).chunks(&[]),
        send(path).chunks(&["eleven", " byte"]),
        send(path).body("z".repeat(2_097_152)),
        send(path).body("z".repeat(2_097_153)),
        send(path).chunks(&["a"]).trailer("x-sum", "7"),
        get(path).body("a body with GET"),
        send(path).chunks(&[&"w".repeat(70_000), &"v".repeat(70_000)]),
    ]
}

pub(crate) fn script() -> Vec<Step> {
    let mut all = steps(PATHS.into_iter().flat_map(requests).chain([get("/from-reader")]));
    all.push(raw("100-continue, body read", &["POST /text HTTP/1.1\r\nhost: (host)\r\nconnection: close\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n", "hello"]));
    all.push(raw("100-continue, body not read", &["POST /ignored HTTP/1.1\r\nhost: (host)\r\nconnection: close\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n", "hello"]));
    all
}
