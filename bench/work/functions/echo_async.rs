//! Answers with the body that it was sent, in place: an async fn.

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// The body, not copied.
#[fezz_function]
pub async fn echo(req: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok().header("content-type", "application/octet-stream").bytes(req.body().clone())
}
