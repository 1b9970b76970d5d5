//! Limits: on bodies, on time, on what is in flight; panics that are caught; paths that are made normal.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::{StreamExt, stream};
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::metrics::InFlightRequestsLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, ResponseBodyTimeoutLayer, TimeoutLayer};

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, raw, steps};

async fn slow_body() -> Body {
    Body::from_stream(stream::iter(0..3).then(|n| async move {
        tokio::time::sleep(Duration::from_millis(if n == 2 { 5000 } else { 1 })).await;
        Ok::<_, Infallible>("piece ")
    }))
}

pub(crate) fn router(_: &Setup) -> Router {
    let echo = || post(|body: Bytes| async move { body });
    let late = || {
        get(|| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            "late"
        })
    };
    let (in_flight, counter) = InFlightRequestsLayer::pair();
    let normal = Router::new()
        .route("/a/b", any(|uri: Uri| async move { uri.to_string() }))
        .route("/", any(|| async { "normal root" }));
    let normal = NormalizePathLayer::trim_trailing_slash().layer(normal);
    let panics = Router::new()
        .route(
            "/str",
            get(|| async {
                if true {
                    panic!("a text")
                }
            }),
        )
        .route(
            "/string",
            get(|| async {
                if true {
                    panic!("number {}", 7)
                }
            }),
        )
        .layer(CatchPanicLayer::new());
    let own = CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
        (StatusCode::IM_A_TEAPOT, "caught").into_response()
    });
    Router::new()
        .route("/limited", echo().layer(RequestBodyLimitLayer::new(10)))
        .route(
            "/limited-stream",
            post(|body: Body| async move { body }).layer(RequestBodyLimitLayer::new(10)),
        )
        .route("/raised", echo().layer(DefaultBodyLimit::max(3_000_000)))
        .route(
            "/disabled",
            echo().layer((DefaultBodyLimit::disable(), RequestBodyLimitLayer::new(3_000_000))),
        )
        .route(
            "/timeout",
            late().layer(TimeoutLayer::with_status_code(
                StatusCode::GATEWAY_TIMEOUT,
                Duration::from_millis(30),
            )),
        )
        .route(
            "/timeout-408",
            late().layer(TimeoutLayer::with_status_code(
                StatusCode::REQUEST_TIMEOUT,
                Duration::from_millis(30),
            )),
        )
        .route("/request-timeout", echo().layer(RequestBodyTimeoutLayer::new(Duration::from_millis(200))))
        .route(
            "/response-timeout",
            get(slow_body).layer(ResponseBodyTimeoutLayer::new(Duration::from_millis(100))),
        )
        .route("/in-flight", get(move || async move { counter.get().to_string() }).layer(in_flight))
        .route(
            "/mapped-request",
            post(|request: Request| async move { request.into_body() }).layer(MapRequestBodyLayer::new(
                |body: Body| {
                    Body::from_stream(
                        body.into_data_stream().map(|chunk| chunk.map(|chunk| chunk.to_ascii_uppercase())),
                    )
                },
            )),
        )
        .route(
            "/mapped-response",
            get(|| async { "mapped" }).layer(MapResponseBodyLayer::new(|_: Body| Body::from("replaced"))),
        )
        .nest("/panics", panics)
        .route(
            "/own-panic",
            get(|| async {
                if true {
                    panic!("own")
                }
            })
            .layer(own),
        )
        .nest_service("/normal", normal)
        .fallback(|| async { Response::new(Body::from("fallback")) })
}

pub(crate) fn script() -> Vec<Step> {
    let bodies = [
        String::new(),
        "ten bytes!".into(),
        "eleven byte".into(),
        "x".repeat(2_500_000),
        "y".repeat(3_500_000),
    ];
    let posts =
        ["/limited", "/limited-stream", "/raised", "/disabled", "/request-timeout", "/mapped-request"]
            .into_iter();
    let posts = posts.flat_map(move |path| {
        bodies
            .clone()
            .map(|body| send(path).body(body))
            .into_iter()
            .chain([send(path).chunks(&["ten ", "bytes!"])])
    });
    // Not to `/limited-stream`: whether its head is sent before the limit is reached is left to chance.
    let above = ["/limited", "/raised", "/disabled"].map(|path| send(path).chunks(&["eleven ", "bytes"]));
    let gets = [
        "/timeout",
        "/timeout-408",
        "/response-timeout",
        "/in-flight",
        "/mapped-response",
        "/panics/str",
        "/panics/string",
        "/own-panic",
        "/normal/a/b",
        "/normal/a/b/",
        "/normal/a/b?x=/",
        "/normal",
        "/normal/",
        "/none",
    ];
    let mut all = steps(posts.chain(above).chain(gets.map(fetch)));
    all.push(raw("a body that stalls", &["POST /request-timeout HTTP/1.1\r\nhost: (host)\r\nconnection: close\r\ncontent-length: 5\r\n\r\nab"]));
    all
}
