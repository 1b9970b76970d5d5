//! Todos in SQLite, in the function's data directory.

#[path = "todos/answer.rs"]
mod answer;

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// Reads todos, or makes one.
#[fezz_function]
pub fn todos(req: FezzHttpRequest) -> FezzHttpResponse {
    answer::answer(&req)
}
