//! What the application sees of requests.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Multipart, OriginalUri, Path, Request};
use axum::http::{HeaderMap, Method, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::{Value, json};

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &axum::http::HeaderValue| value.as_bytes().escape_ascii().to_string();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// The whole body and its trailers.
pub(crate) async fn received(body: Body) -> Result<Json<Value>, String> {
    let hint = body.size_hint().exact();
    let whole = body.collect().await.map_err(|error| error.to_string())?;
    let trailers = whole.trailers().map(pairs).unwrap_or_default();
    Ok(Json(json!({ "hint": hint, "length": whole.to_bytes().len(), "trailers": trailers })))
}

/// Before anything is read.
pub(crate) async fn size(headers: HeaderMap, body: Body) -> Json<Value> {
    let header = headers.get("content-length").and_then(|value| value.to_str().ok());
    Json(json!({ "hint": body.size_hint().exact(), "header": header, "is_end": body.is_end_stream() }))
}

/// Does not read the body.
pub(crate) async fn ignore() -> StatusCode {
    StatusCode::CONFLICT
}

pub(crate) async fn late(Path(millis): Path<u64>, body: Body) -> Result<String, String> {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    let whole = body.collect().await.map_err(|error| error.to_string())?;
    Ok(whole.to_bytes().len().to_string())
}

pub(crate) async fn form(mut form: Multipart) -> Result<Json<Value>, String> {
    let mut fields = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|error| error.body_text())? {
        let name = field.name().unwrap_or_default().to_owned();
        let data: Bytes = field.bytes().await.map_err(|error| error.body_text())?;
        fields.push((name, data.len()));
    }
    Ok(Json(json!(fields)))
}

pub(crate) async fn client(ConnectInfo(address): ConnectInfo<SocketAddr>) -> String {
    address.to_string()
}

pub(crate) async fn request(
    method: Method,
    version: Version,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    request: Request,
) -> Json<Value> {
    Json(json!({
        "method": method.as_str(),
        "version": format!("{version:?}"),
        "original_uri": uri.to_string(),
        "uri": request.uri().to_string(),
        "headers": pairs(&headers),
    }))
}
