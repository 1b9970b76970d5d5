//! The responses of axum-extra: attachments, files as streams, erased JSON, JSON lines, typed paths.

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_extra::TypedHeader;
use axum_extra::headers::{CacheControl, ETag};
use axum_extra::json_lines::JsonLines;
use axum_extra::response::file_stream::FileStream;
use axum_extra::response::{Attachment, Css, ErasedJson, InternalServerError, JavaScript, Wasm};
use futures_util::stream;
use serde_json::json;
use tokio_util::io::ReaderStream;

use crate::Setup;
use crate::script::{Step, get as fetch, steps};

pub(crate) fn router(setup: &Setup) -> Router {
    let file = setup.folder.join("streamed.txt");
    let written = std::fs::write(&file, "0123456789".repeat(1000)).is_ok();
    let (ranged, opened) = (file.clone(), file.clone());
    Router::new()
        .route("/written", get(move || async move { written.to_string() }))
        .route(
            "/attachment",
            get(|| async { Attachment::new("a,b").filename("table.csv").content_type("text/csv") }),
        )
        .route("/attachment-plain", get(|| async { Attachment::new(vec![1, 2, 3]) }))
        .route("/attachment-name", get(|| async { Attachment::new("x").filename("a \"q\".txt") }))
        .route("/erased", get(|| async { ErasedJson::new(json!({ "a": [1, 2] })) }))
        .route("/pretty", get(|| async { ErasedJson::pretty(json!({ "a": [1, 2] })) }))
        .route("/file", get(move || streamed(file.clone())))
        .route("/opened", get(move || from_path(opened.clone())))
        .route("/range", get(move || range(ranged.clone())))
        .route(
            "/lines",
            get(|| async {
                JsonLines::new(stream::iter([1, 2, 3].map(Ok::<_, axum::Error>))).into_response()
            }),
        )
        .route("/css", get(|| async { Css("body {}") }))
        .route("/js", get(|| async { JavaScript("1") }))
        .route("/wasm", get(|| async { Wasm(&b"\0asm"[..]) }))
        .route("/internal", get(|| async { InternalServerError(std::io::Error::other("not shown")) }))
        .route(
            "/typed",
            get(|| async {
                (
                    TypedHeader(CacheControl::new().with_no_cache()),
                    TypedHeader("\"tag\"".parse::<ETag>().expect("a tag")),
                    "typed",
                )
            }),
        )
}

async fn streamed(file: std::path::PathBuf) -> Result<Response, (StatusCode, String)> {
    let file =
        tokio::fs::File::open(file).await.map_err(|error| (StatusCode::NOT_FOUND, error.to_string()))?;
    Ok(FileStream::new(ReaderStream::new(file)).file_name("digits.txt").content_size(10_000).into_response())
}

async fn from_path(file: std::path::PathBuf) -> Result<Response, (StatusCode, String)> {
    let opened = FileStream::<ReaderStream<tokio::fs::File>>::from_path(file).await;
    opened.map(IntoResponse::into_response).map_err(|error| (StatusCode::NOT_FOUND, error.to_string()))
}

async fn range(file: std::path::PathBuf) -> Response {
    let answer = FileStream::<ReaderStream<tokio::fs::File>>::try_range_response(file, 10, 29).await;
    answer.unwrap_or_else(|error| error.to_string().into_response())
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/written",
        "/attachment",
        "/attachment-plain",
        "/attachment-name",
        "/erased",
        "/pretty",
        "/file",
        "/opened",
        "/range",
        "/lines",
        "/css",
        "/js",
        "/wasm",
        "/internal",
        "/typed",
    ];
    steps(paths.map(fetch))
}
