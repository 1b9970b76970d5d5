//! Todos in SQLite, in the function's data directory, as an async fn.

#[path = "todos/answer.rs"]
mod answer;

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// Reads todos, or makes one.
#[fezz_function]
pub async fn todos(req: FezzHttpRequest) -> FezzHttpResponse {
    answer::answer(&req)
}
