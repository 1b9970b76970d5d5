//! Literals, parameters, wildcards, methods, HEAD, and trailing slashes.

use axum::Router;
use axum::extract::{MatchedPath, Path};
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{
    MethodFilter, MethodRouter, any, connect, delete, get, head, on, options, patch, post, put, trace,
};

use crate::Setup;
use crate::script::{
    Step, delete as remove, get as fetch, head as ask_head, options as ask, patch as change, post as send,
    propfind, put as store, raw, steps,
};

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/", get(|| async { "root" }))
        .route("/users", get(|| async { "list" }).post(|| async { (StatusCode::CREATED, "made") }))
        .route("/users/me", get(|| async { "me" }))
        .route("/users/{id}", get(|Path(id): Path<String>| async move { id }).delete(|| async { StatusCode::NO_CONTENT }))
        .route("/users/{id}/", get(|| async { "with a slash" }))
        .route("/users/{id}/posts/{post}", get(|Path((id, post)): Path<(String, String)>| async move { format!("{id} {post}") }))
        .route("/files/{*path}", get(|matched: MatchedPath, Path(path): Path<String>| async move { format!("{path} {}", matched.as_str()) }))
        .route("/files/known", get(|| async { "known" }))
        .route("/only-post", post(|| async { "post" }))
        .route("/only-put", put(|| async { "put" }))
        .route("/only-patch", patch(|| async { "patch" }))
        .route("/only-delete", delete(|| async { "delete" }))
        .route("/only-head", head(|| async { [("x-head", "1")] }))
        .route("/only-options", options(|| async { [("x-options", "1")] }))
        .route("/only-trace", trace(|| async { "trace" }))
        .route("/only-connect", connect(|| async { "connect" }))
        .route("/any", any(|method: Method| async move { method.to_string() }))
        .route("/any-but-get", any(|| async { "any" }).get(|| async { "get" }))
        .route("/on", on(MethodFilter::PUT.or(MethodFilter::PATCH), |method: Method| async move { method.to_string() }))
        .route("/get-head", get(|method: Method| async move { (StatusCode::OK, [("x-method", method.to_string())], "get-head") }))
        .route("/own-head", get(|| async { "get" }).head(|| async { [("x-own", "1")] }))
        .route("/own-fallback", get(|| async { "get" }).fallback(|method: Method| async move { (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET")], format!("not {method}")) }))
        .route("/empty", MethodRouter::new())
        .route("/merged", get(|| async { "get" }).merge(post(|| async { "post" })))
        .route("/CaSe", get(|| async { "case" }))
        .route("/with.dot", get(|| async { "dot" }))
        .route("/a/b/c/d/e/f/g/h", get(|| async { "deep" }))
        .fallback(|method: Method, uri: Uri| async move { (StatusCode::NOT_FOUND, format!("{method} {uri}")).into_response() })
}

const PATHS: [&str; 38] = [
    "/",
    "/users",
    "/users/",
    "/users/me",
    "/users/7",
    "/users/7/",
    "/users/me/",
    "/users/7/posts/1",
    "/users/7/posts",
    "/users/%6De",
    "/files/a",
    "/files/known",
    "/files/a/b/c",
    "/files/",
    "/files",
    "/files/known/",
    "/only-post",
    "/only-put",
    "/only-patch",
    "/only-delete",
    "/only-head",
    "/only-options",
    "/only-trace",
    "/only-connect",
    "/any",
    "/any-but-get",
    "/on",
    "/get-head",
    "/own-head",
    "/own-fallback",
    "/empty",
    "/merged",
    "/CaSe",
    "/case",
    "/with.dot",
    "/a/b/c/d/e/f/g/h",
    "/a/b",
    "/nowhere?x=y",
];

pub(crate) fn script() -> Vec<Step> {
    let all = PATHS.into_iter().flat_map(|path| {
        [
            fetch(path),
            ask_head(path),
            send(path).body("body"),
            store(path),
            change(path),
            remove(path),
            ask(path),
            propfind(path),
        ]
    });
    let mut all = steps(all);
    for method in ["TRACE", "CONNECT", "BREW", "PURGE", "M-SEARCH", "GETS", "get"] {
        for path in ["/", "/any", "/only-trace", "/only-connect", "/nowhere", "/users"] {
            all.push(raw(
                format!("{method} {path}"),
                &[&format!("{method} {path} HTTP/1.1\r\nhost: (host)\r\nconnection: close\r\n\r\n")],
            ));
        }
    }
    all
}
