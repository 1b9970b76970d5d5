//! A todo list in SQLite, served as a fezz function.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /hello` | a greeting as plain text |
//! | `GET /todos?done=&q=&limit=&offset=` | `{"items": [...], "total": n, "limit": n, "offset": n}` |
//! | `POST /todos` | 201, the new todo, and its location |
//! | `GET /todos/{id}` | one todo |
//! | `PUT /todos/{id}` | the replaced todo |
//! | `DELETE /todos/{id}` | 204 |
//!
//! Errors are problem documents, `application/problem+json` (RFC 9457).
//!
//! The todos are in `todos.sqlite3` in the function's data directory, which is kept across restarts and versions; the
//! variable `TODOS_DB` names another file, relative to that directory. The database is opened at the first call that
//! needs it, and stays open.

mod body;
mod handlers;
mod list_query;
mod pool;
mod problem;
mod store;
mod todo;

use std::path::{Path, PathBuf};

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};
use once_cell::sync::OnceCell;

use list_query::ListQuery;
use problem::Problem;
use store::{Store, StoreError};
use todo::Draft;

/// Answers one request.
#[fezz_function]
pub fn todos(req: FezzHttpRequest) -> FezzHttpResponse {
    answer(&req).unwrap_or_else(|problem| problem.respond(req.request_id()))
}

fn answer(req: &FezzHttpRequest) -> Result<FezzHttpResponse, Problem> {
    match (req.method().as_str(), req.matched_route()) {
        ("GET" | "HEAD", "/" | "/hello") => Ok(handlers::hello()),
        ("GET" | "HEAD", "/todos") => {
            let query = ListQuery::parse(req.query())?;
            handlers::list(store()?, &query)
        }
        ("POST", "/todos") => {
            let draft = Draft::new(&document(req)?)?;
            handlers::create(store()?, &draft)
        }
        ("GET" | "HEAD", "/todos/{id}") => handlers::get(store()?, id(req)?),
        ("PUT", "/todos/{id}") => {
            let (id, draft) = (id(req)?, Draft::replacement(&document(req)?)?);
            handlers::replace(store()?, id, &draft)
        }
        ("DELETE", "/todos/{id}") => handlers::delete(store()?, id(req)?),
        (method, route) => Err(Problem::UnknownRoute(format!("{method} {route}"))),
    }
}

fn document(req: &FezzHttpRequest) -> Result<serde_json::Value, Problem> {
    body::json(req.headers(), req.body())
}

fn id(req: &FezzHttpRequest) -> Result<i64, Problem> {
    todo::parse_id(req.param("id").unwrap_or_default())
}

/// The store, opened by the first call while others wait. After an error, the next call tries again; that is why this is
/// not a `OnceLock`, which has no fallible initialization yet.
fn store() -> Result<&'static Store, StoreError> {
    static STORE: OnceCell<Store> = OnceCell::new();
    STORE.get_or_try_init(|| Store::open(location(fezz_sdk::data_dir(), fezz_sdk::variable("TODOS_DB"))?))
}

/// The database's file. Outside a host there is no data directory, so the variable is required.
fn location(data_dir: Option<&Path>, file: Option<&str>) -> Result<PathBuf, StoreError> {
    match (data_dir, file) {
        (Some(folder), file) => Ok(folder.join(file.unwrap_or("todos.sqlite3"))),
        (None, Some(file)) => Ok(file.into()),
        (None, None) => Err(StoreError::NoLocation),
    }
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;

    use super::*;

    #[test]
    fn requests_that_need_no_database_are_answered() {
        TestRequest::get("/hello").call(todos).assert_status(200).assert_text("Hello from todosapi!");
        let post = || TestRequest::post("/todos");
        post().body("{}").call(todos).assert_problem(415);
        let refused = post().json(&serde_json::json!({ "title": "" })).call(todos);
        assert_eq!(refused.assert_problem(422).json()["errors"][0]["field"], "title");
    }

    #[test]
    fn the_database_is_in_the_data_directory_by_default() {
        let folder = Some(Path::new("/data/todos"));
        assert_eq!(location(folder, None).unwrap(), Path::new("/data/todos/todos.sqlite3"));
        assert_eq!(location(folder, Some("other.db")).unwrap(), Path::new("/data/todos/other.db"));
        assert_eq!(location(folder, Some("/srv/t.db")).unwrap(), Path::new("/srv/t.db"));
        assert_eq!(location(None, Some("/srv/t.db")).unwrap(), Path::new("/srv/t.db"));
    }

    #[test]
    fn outside_a_host_the_store_is_an_error_each_time() {
        for _ in 0..2 {
            assert!(matches!(store(), Err(StoreError::NoLocation)));
        }
    }
}
