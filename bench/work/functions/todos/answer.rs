//! The answers of both todo functions.

use std::sync::OnceLock;

use fezz_bench_work::todos::{Todos, TodosError};
use fezz_sdk::http::{Method, StatusCode};
use fezz_sdk::{FezzHttpRequest, FezzHttpResponse};

/// `GET /?after=n` reads ten todos, `POST /` makes one; an error is a 500 that says which.
pub(crate) fn answer(req: &FezzHttpRequest) -> FezzHttpResponse {
    try_answer(req).unwrap_or_else(|error| {
        FezzHttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR).text(error.to_string())
    })
}

fn try_answer(req: &FezzHttpRequest) -> Result<FezzHttpResponse, TodosError> {
    static TODOS: OnceLock<Result<Todos, String>> = OnceLock::new();
    let open = || {
        let folder = fezz_sdk::data_dir().ok_or("there is no data directory")?;
        Todos::open(folder).map_err(|error| error.to_string())
    };
    let todos = TODOS.get_or_init(open).as_ref().map_err(|error| TodosError::Open(error.clone()))?;
    let (status, body) = if req.method() == Method::POST {
        (StatusCode::CREATED, todos.create(req.body())?)
    } else {
        (StatusCode::OK, todos.list(req.query_string())?)
    };
    Ok(FezzHttpResponse::new(status).header("content-type", "application/json").bytes(body))
}
