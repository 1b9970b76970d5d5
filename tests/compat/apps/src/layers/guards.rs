//! Layers that let requests through or not: required headers, authorization of both kinds.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tower_http::auth::AsyncRequireAuthorizationLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::Setup;
use crate::script::{Step, get as fetch, options, post, steps};

async fn own(request: Request<Body>) -> Result<Request<Body>, Response> {
    match request.headers().get("x-token").map(|token| token.as_bytes()) {
        Some(b"good") => Ok(request),
        Some(_) => Err((StatusCode::FORBIDDEN, "a bad token").into_response()),
        None => Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Token")]).into_response()),
    }
}

/// The deprecated guards, which applications still use.
#[expect(deprecated, reason = "applications still use them")]
fn passwords() -> Router {
    let route = || any(|| async { "let in" });
    Router::new()
        .route("/basic", route().layer(ValidateRequestHeaderLayer::basic("user", "pass")))
        .route("/bearer", route().layer(ValidateRequestHeaderLayer::bearer("token")))
}

#[expect(clippy::result_large_err, reason = "the layer's signature")]
fn custom(request: &mut Request<Body>) -> Result<(), Response> {
    let there = request.headers().contains_key("x-token");
    there.then_some(()).ok_or_else(|| (StatusCode::PRECONDITION_REQUIRED, "no token").into_response())
}

pub(crate) fn router(_: &Setup) -> Router {
    let route = || any(|| async { "let in" });
    passwords()
        .route("/accept", route().layer(ValidateRequestHeaderLayer::accept("application/json")))
        .route("/own", route().layer(AsyncRequireAuthorizationLayer::new(own)))
        .route("/custom", route().layer(ValidateRequestHeaderLayer::custom(custom)))
}

pub(crate) fn script() -> Vec<Step> {
    let paths = ["/basic", "/bearer", "/accept", "/own", "/custom", "/none"];
    steps(paths.into_iter().flat_map(|path| {
        [
            fetch(path),
            fetch(path).header("accept", "application/json"),
            fetch(path).header("accept", "text/html, */*;q=0.1"),
            fetch(path).header("accept", "text/html"),
            fetch(path).header("x-token", "good"),
            fetch(path).header("x-token", "bad"),
            fetch(path).header("authorization", "Basic dXNlcjpwYXNz"),
            fetch(path).header("authorization", "Bearer token"),
            fetch(path).header("authorization", "Basic dXNlcjp3cm9uZw=="),
            post(path).header("x-token", "good").body("x"),
            options(path).header("x-token", "good"),
        ]
    }))
}
