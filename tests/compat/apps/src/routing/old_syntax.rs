//! Paths with `:` and `*` as literals, fallback services, and a router without a fallback of its own.

use axum::Router;
use axum::extract::Path;
use axum::http::{Method, Uri};
use axum::routing::get;

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, steps};

pub(crate) fn router(_: &Setup) -> Router {
    let other = Router::new()
        .route("/from-fallback", get(|| async { "from the fallback's router" }))
        .fallback(|method: Method, uri: Uri| async move { format!("last: {method} {uri}") });
    Router::new()
        .without_v07_checks()
        .route("/:colon", get(|| async { "a literal colon" }))
        .route("/*star", get(|| async { "a literal star" }))
        .route("/{id}", get(|Path(id): Path<String>| async move { id }))
        .route("/{id}/:x", get(|| async { "mixed" }))
        .route("/reset", get(|| async { "reset" }))
        .nest(
            "/inner",
            Router::new()
                .route("/x", get(|| async { "x" }))
                .fallback(|| async { "replaced" })
                .reset_fallback(),
        )
        .fallback_service(other)
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/:colon",
        "/*star",
        "/%3Acolon",
        "/%2Astar",
        "/abc",
        "/abc/:x",
        "/abc/x",
        "/reset",
        "/inner/x",
        "/inner/y",
        "/inner",
        "/from-fallback",
        "/a/b/c",
        "/",
        "/from-fallback/",
    ];
    steps(paths.into_iter().flat_map(|path| [fetch(path), send(path).body("x")]))
}
