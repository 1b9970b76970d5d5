//! CORS: permissive, restricted, by a predicate; preflights, with and without a route.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::routing::{any, get};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tower_http::csrf::CsrfLayer;

use crate::Setup;
use crate::script::{Request, Step, delete, get as fetch, options, post, steps};

pub(crate) fn router(_: &Setup) -> Router {
    let routes = || {
        Router::new()
            .route("/x", get(|| async { "x" }).post(|| async { "posted" }))
            .route("/any", any(|| async { "any" }))
    };
    let origins = ["https://one.example", "https://two.example"].map(HeaderValue::from_static);
    let strict = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, HeaderName::from_static("x-key")])
        .expose_headers([header::ETAG])
        .allow_credentials(true)
        .max_age(Duration::from_secs(600));
    let predicate = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(|origin, parts| {
            origin.as_bytes().ends_with(b".example") && parts.uri.path() != "/any"
        }))
        .allow_methods(Any)
        .allow_private_network(true);
    Router::new()
        .nest("/permissive", routes().layer(CorsLayer::permissive()))
        .nest("/very", routes().layer(CorsLayer::very_permissive()))
        .nest("/strict", routes().layer(strict))
        .nest("/predicate", routes().layer(predicate))
        .nest("/csrf", routes().layer(CsrfLayer::new()))
        .nest("/none", routes())
}

fn requests(path: &str) -> Vec<Request> {
    let preflight = |origin: &'static str, method: &'static str| {
        options(path.to_owned()).header("origin", origin).header("access-control-request-method", method)
    };
    vec![
        fetch(path.to_owned()),
        fetch(path.to_owned()).header("origin", "https://one.example"),
        fetch(path.to_owned()).header("origin", "https://other.test"),
        fetch(path.to_owned()).header("origin", "null"),
        post(path.to_owned())
            .header("origin", "https://two.example")
            .header("sec-fetch-site", "cross-site")
            .body("x"),
        post(path.to_owned()).header("sec-fetch-site", "same-origin"),
        post(path.to_owned()).header("origin", "https://cors.compat.example"),
        delete(path.to_owned()).header("origin", "https://one.example"),
        options(path.to_owned()),
        preflight("https://one.example", "GET"),
        preflight("https://other.test", "PUT"),
        preflight("https://one.example", "POST")
            .header("access-control-request-headers", "x-key, content-type"),
        preflight("https://a.example", "DELETE").header("access-control-request-private-network", "true"),
    ]
}

pub(crate) fn script() -> Vec<Step> {
    let groups = ["/permissive", "/very", "/strict", "/predicate", "/csrf", "/none"];
    steps(
        groups
            .into_iter()
            .flat_map(|group| ["/x", "/any", "/missing"].map(|path| format!("{group}{path}")))
            .flat_map(|path| requests(&path)),
    )
}
