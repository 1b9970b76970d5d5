//! One handler for each route: takes validated input, returns the response.

use fezz_sdk::FezzHttpResponse;
use fezz_sdk::http::StatusCode;
use serde_json::json;

use crate::list_query::ListQuery;
use crate::problem::Problem;
use crate::store::Store;
use crate::todo::Draft;

pub(crate) fn hello() -> FezzHttpResponse {
    FezzHttpResponse::ok().text("Hello from todosapi!")
}

pub(crate) fn list(store: &Store, query: &ListQuery) -> Result<FezzHttpResponse, Problem> {
    let page = store.list(query)?;
    let body = json!({
        "items": page.items, "total": page.total, "limit": query.limit, "offset": query.offset,
    });
    Ok(FezzHttpResponse::ok().json(&body))
}

/// The location is relative to `/todos`: the function does not know the prefix of its host or of a proxy.
pub(crate) fn create(store: &Store, draft: &Draft) -> Result<FezzHttpResponse, Problem> {
    let todo = store.create(draft)?;
    let location = format!("todos/{}", todo.id);
    Ok(FezzHttpResponse::new(StatusCode::CREATED).header("location", location).json(&todo))
}

pub(crate) fn get(store: &Store, id: i64) -> Result<FezzHttpResponse, Problem> {
    let todo = store.get(id)?.ok_or_else(|| missing(id))?;
    Ok(FezzHttpResponse::ok().json(&todo))
}

pub(crate) fn replace(store: &Store, id: i64, draft: &Draft) -> Result<FezzHttpResponse, Problem> {
    let todo = store.replace(id, draft)?.ok_or_else(|| missing(id))?;
    Ok(FezzHttpResponse::ok().json(&todo))
}

pub(crate) fn delete(store: &Store, id: i64) -> Result<FezzHttpResponse, Problem> {
    if !store.delete(id)? {
        return Err(missing(id));
    }
    Ok(FezzHttpResponse::new(StatusCode::NO_CONTENT))
}

fn missing(id: i64) -> Problem {
    Problem::NoSuchTodo(id.to_string())
}
