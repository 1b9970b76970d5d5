//! Answers with 20 bytes of JSON, the least work of a function, as an async fn.

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// The same answer as bare axum's.
#[fezz_function]
pub async fn hello(_req: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok().header("content-type", "application/json").bytes(fezz_bench_work::HELLO.as_bytes())
}
