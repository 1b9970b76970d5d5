//! Reads the body of the request, and answers with a few bytes.

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// The body's receipt.
#[fezz_function]
pub fn upload(req: FezzHttpRequest) -> FezzHttpResponse {
    let receipt = fezz_bench_work::upload::receipt(req.body());
    FezzHttpResponse::ok().header("content-type", "application/json").bytes(receipt.into_bytes())
}
