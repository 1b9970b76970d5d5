//! Reads, validates and answers an order, as an async fn.

use fezz_bench_work::order;
use fezz_sdk::http::StatusCode;
use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// The priced order.
#[fezz_function]
pub async fn json(req: FezzHttpRequest) -> FezzHttpResponse {
    match order::price(req.body()) {
        Ok(body) => FezzHttpResponse::ok().header("content-type", "application/json").bytes(body),
        Err(error) => FezzHttpResponse::new(StatusCode::BAD_REQUEST).text(error.to_string()),
    }
}
