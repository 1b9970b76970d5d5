//! A guestbook in PostgreSQL: an `async fn`, and a sqlx pool in a `OnceCell`.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /entries` | the latest 50, newest first: `[{"id": 1, "name": "…", "message": "…", "written_at": "…"}]` |
//! | `POST /entries` with `{"name": "…", "message": "…"}` | 201 and the entry |
//!
//! The secret `DATABASE_URL` names the database: `postgres://user:password@host/name`. If it is unreachable or too slow,
//! the response is a 503 problem document.

mod database;
mod entries;

use fezz_sdk::http::StatusCode;
use fezz_sdk::{
    FezzError, FezzHttpRequest, FezzHttpResponse, FromRequest, IntoFezzResponse, Json, fezz_function,
};

use entries::NewEntry;

/// Answers one request.
#[fezz_function]
pub async fn guestbook(req: FezzHttpRequest) -> Result<FezzHttpResponse, FezzError> {
    if req.method() == "POST" {
        let Json(new) = Json::<NewEntry>::from_request(&req)?;
        new.check()?;
        let entry = entries::add(database::pool().await?, &new).await.map_err(database::failed)?;
        Ok((StatusCode::CREATED, Json(entry)).into_fezz_response())
    } else {
        let latest = entries::latest(database::pool().await?).await.map_err(database::failed)?;
        Ok(Json(latest).into_fezz_response())
    }
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;
    use serde_json::json;

    use super::*;

    #[test]
    fn invalid_entries_are_refused_without_a_database() {
        for (entry, field) in [
            (json!({ "name": "", "message": "hello" }), "name"),
            (json!({ "name": "a".repeat(101), "message": "hello" }), "name"),
            (json!({ "name": "ann", "message": " " }), "message"),
            (json!({ "name": "ann", "message": "a\u{0}b" }), "message"),
        ] {
            let answer = TestRequest::post("/entries").json(&entry).call(guestbook);
            let problem = answer.assert_problem(422).json();
            assert_eq!(problem["errors"][0]["field"], field, "{entry}: {problem}");
        }
    }

    #[test]
    fn without_a_database_it_is_500() {
        TestRequest::get("/entries").call(guestbook).assert_problem(500);
        TestRequest::get("/entries").variable("DATABASE_URL", "nonsense").call(guestbook).assert_problem(500);
    }
}
