//! Compressed answers (gzip, brotli, zstd, deflate), and compressed requests.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get, post};
use futures_util::stream;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::decompression::{DecompressionLayer, RequestDecompressionLayer};

use crate::Setup;
use crate::script::{Request, Step, get as fetch, head, post as send, steps};

fn text() -> String {
    (0..400).map(|n| format!("line {n} of a text that can be compressed\n")).collect()
}

pub(crate) fn router(_: &Setup) -> Router {
    let all = Router::new()
        .route("/text", any(|| async { text() }))
        .route("/short", get(|| async { "short" }))
        .route("/empty", get(|| async {}))
        .route("/image", get(|| async { ([(header::CONTENT_TYPE, "image/png")], text()) }))
        .route("/svg", get(|| async { ([(header::CONTENT_TYPE, "image/svg+xml")], text()) }))
        .route("/grpc", get(|| async { ([(header::CONTENT_TYPE, "application/grpc")], text()) }))
        .route("/encoded", get(|| async { ([(header::CONTENT_ENCODING, "gzip")], "not really") }))
        .route(
            "/etag",
            get(|| async {
                (
                    [(header::ETAG, "\"1\""), (header::VARY, "accept"), (header::ACCEPT_RANGES, "bytes")],
                    text(),
                )
            }),
        )
        .route(
            "/stream",
            get(|| async {
                Body::from_stream(stream::iter(
                    (0..50).map(|n| Ok::<_, std::io::Error>(format!("chunk {n} of a stream\n"))),
                ))
            }),
        )
        .route(
            "/events",
            get(|| async {
                Sse::new(stream::iter(
                    (0..3).map(|n| Ok::<_, std::io::Error>(Event::default().data(n.to_string()))),
                ))
            }),
        )
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    let chosen = Router::new().route("/text", get(|| async { text() })).layer(
        CompressionLayer::new()
            .no_gzip()
            .no_br()
            .compress_when(SizeAbove::new(10).and(NotForContentType::new("text/html"))),
    );
    let inflated = Router::new()
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/echo", post(|body: Bytes| async move { body }));
    Router::new()
        .nest("/all", all)
        .nest("/chosen", chosen)
        .nest("/inflated", inflated.clone().layer(RequestDecompressionLayer::new()))
        .nest(
            "/passed",
            inflated.layer(RequestDecompressionLayer::new().pass_through_unaccepted(true).no_gzip()),
        )
        .nest(
            "/undone",
            Router::new()
                .route("/text", get(|| async { text() }))
                .layer(CompressionLayer::new())
                .layer(DecompressionLayer::new()),
        )
}

/// `hello`, compressed by gzip.
const HELLO: [u8; 25] =
    [31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 203, 72, 205, 201, 201, 7, 0, 134, 166, 16, 54, 5, 0, 0, 0];

fn requests(path: &'static str) -> Vec<Request> {
    let encodings = [
        "",
        "gzip",
        "br",
        "zstd",
        "deflate",
        "gzip, deflate, br, zstd",
        "gzip;q=0",
        "*",
        "identity",
        "br;q=0.5, gzip;q=0.9",
        "identity;q=0",
        "x-gzip",
        "nonsense",
        "GZIP",
    ];
    let gets = encodings.map(|encoding| fetch(path).header("accept-encoding", encoding));
    gets.into_iter()
        .chain([
            fetch(path),
            head(path).header("accept-encoding", "gzip"),
            fetch(path).header("accept-encoding", "gzip").header("range", "bytes=0-9"),
        ])
        .collect()
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/all/text",
        "/all/short",
        "/all/empty",
        "/all/image",
        "/all/svg",
        "/all/grpc",
        "/all/encoded",
        "/all/etag",
        "/all/stream",
        "/all/events",
        "/chosen/text",
        "/undone/text",
    ];
    let posts = ["/inflated/length", "/inflated/echo", "/passed/length", "/passed/echo"]
        .into_iter()
        .flat_map(|path| {
            ["gzip", "br", "identity", "nonsense", "gzip, gzip"]
                .map(|encoding| send(path).header("content-encoding", encoding).body(HELLO))
                .into_iter()
                .chain([
                    send(path).body("plain"),
                    send(path).header("content-encoding", "gzip").body("not gzip"),
                    send(path).header("content-encoding", "gzip").body(&HELLO[..12]),
                    send(path).header("content-encoding", "gzip"),
                ])
        });
    steps(paths.into_iter().flat_map(requests).chain(posts))
}
