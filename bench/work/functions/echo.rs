//! Answers with the body of the request.

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// The body, without a copy.
#[fezz_function]
pub fn echo(req: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok().header("content-type", "application/octet-stream").bytes(req.body().clone())
}
