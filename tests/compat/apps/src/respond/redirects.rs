//! Redirects of every kind, and what is made of the client's own address.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get};
use tower_http::services::Redirect as RedirectService;

use crate::Setup;
use crate::script::{Step, get as fetch, post, steps};

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/to", any(|| async { Redirect::to("/login") }))
        .route("/temporary", any(|| async { Redirect::temporary("/login?next=/a%20b") }))
        .route("/permanent", any(|| async { Redirect::permanent("https://example.com/") }))
        .route("/relative", get(|| async { Redirect::to("../up") }))
        .route("/encoded", get(|| async { Redirect::to("/caf%C3%A9#part") }))
        .route("/bad", get(|| async { Redirect::to("/bad\nvalue") }))
        .route("/absolute", get(absolute))
        .route("/found", get(|| async { (StatusCode::FOUND, [(header::LOCATION, "/found-here")], "moved") }))
        .route("/multiple", get(|| async { (StatusCode::MULTIPLE_CHOICES, [(header::LOCATION, "/a")]) }))
        .route_service(
            "/service",
            RedirectService::<axum::body::Body>::permanent("/new".parse().expect("a URI")),
        )
        .route_service(
            "/service-temporary",
            RedirectService::<axum::body::Body>::temporary("/new?a=b".parse().expect("a URI")),
        )
        .route("/login", get(|| async { "log in" }))
        .route("/slash/", get(|| async { "with a slash" }))
        .fallback(slash)
}

/// The address is made from what the client has sent, as many applications do.
async fn absolute(headers: HeaderMap) -> impl IntoResponse {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("nowhere");
    Redirect::to(&format!("http://{host}/login"))
}

async fn slash(request: Request) -> impl IntoResponse {
    let path = request.uri().path();
    if path.ends_with('/') {
        StatusCode::NOT_FOUND.into_response()
    } else {
        Redirect::permanent(&format!("{path}/")).into_response()
    }
}

pub(crate) fn script() -> Vec<Step> {
    let gets = [
        "/to",
        "/temporary",
        "/permanent",
        "/relative",
        "/encoded",
        "/bad",
        "/found",
        "/multiple",
        "/service",
        "/service-temporary",
        "/login",
        "/slash",
        "/slash/",
        "/none",
        "/none/",
    ];
    let absolute = fetch("/absolute").http1_only();
    steps(gets.map(fetch).into_iter().chain([
        absolute,
        post("/to").body("a"),
        post("/temporary").body("a"),
        post("/permanent"),
    ]))
}
