//! Errors of an application's own: one type for all of them, as with anyhow, and an enum.

use std::error::Error;
use std::fmt;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{ErrorResponse, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::Setup;
use crate::script::{Step, get as fetch, steps};

/// Any error, as a 500.
struct AnyError(Box<dyn Error + Send + Sync>);

impl IntoResponse for AnyError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("Something went wrong: {}", self.0)).into_response()
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for AnyError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Errors with a status each.
#[derive(Debug)]
enum ShopError {
    NotFound(u32),
    SoldOut,
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(id) => write!(f, "no product {id}"),
            Self::SoldOut => f.write_str("sold out"),
        }
    }
}

impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::SoldOut => StatusCode::CONFLICT,
        };
        let problem = json!({ "type": "about:blank", "title": self.to_string(), "status": status.as_u16() });
        (status, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
    }
}

async fn parse(Path(text): Path<String>) -> Result<String, AnyError> {
    let number: i32 = text.parse()?;
    let text = String::from_utf8(vec![0xff; usize::from(number < 0)])?;
    Ok(format!("{number}{text}"))
}

async fn product(Path(id): Path<u32>) -> Result<Json<serde_json::Value>, ShopError> {
    match id {
        0 => Err(ShopError::SoldOut),
        1..10 => Ok(Json(json!({ "id": id }))),
        _ => Err(ShopError::NotFound(id)),
    }
}

async fn mixed(Path(kind): Path<String>) -> axum::response::Result<&'static str> {
    match kind.as_str() {
        "status" => Err(StatusCode::PAYMENT_REQUIRED)?,
        "tuple" => Err((StatusCode::BAD_REQUEST, "tuple"))?,
        "shop" => Err(ShopError::SoldOut)?,
        "response" => Err(ErrorResponse::from((StatusCode::GONE, [("x-gone", "yes")]))),
        _ => Ok("fine"),
    }
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/parse/{text}", get(parse))
        .route("/product/{id}", get(product))
        .route("/mixed/{kind}", get(mixed))
        .fallback(|| async { (StatusCode::NOT_FOUND, Json(json!({ "error": "not found" }))) })
        .method_not_allowed_fallback(|| async {
            (StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": "not allowed" })))
        })
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/parse/7",
        "/parse/x",
        "/parse/-1",
        "/parse/99999999999",
        "/product/1",
        "/product/0",
        "/product/99",
        "/product/x",
        "/mixed/status",
        "/mixed/tuple",
        "/mixed/shop",
        "/mixed/response",
        "/mixed/other",
        "/nowhere",
    ];
    steps(paths.map(fetch))
}
