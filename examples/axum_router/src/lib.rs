//! A usual axum application: state, extractors, nesting, layers, a fallback and a streamed body. To make it a function,
//! the attribute replaces the listener.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /notes?contains=` | the notes, as JSON |
//! | `POST /notes` | 201, the new note |
//! | `GET /notes/{id}` | one note, or 404 |
//! | `GET /export` | all notes as lines, streamed |
//! | `GET /about` | which function this is |

mod notes;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router, body::Body};
use fezz_sdk::{Context, fezz_function};
use serde::Deserialize;
use tower_http::set_header::SetResponseHeaderLayer;

use notes::{Draft, Notes};

/// The application, built at the first request.
#[fezz_function]
pub fn app() -> Router {
    let notes = Router::new().route("/", get(list).post(create)).route("/{id}", get(one));
    let no_store = HeaderValue::from_static("no-store");
    Router::new()
        .nest("/notes", notes)
        .route("/export", get(export))
        .route("/about", get(about))
        .fallback(|uri: Uri| async move { (StatusCode::NOT_FOUND, format!("nothing at {}\n", uri.path())) })
        .layer(middleware::from_fn(require_agent))
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, no_store))
        .with_state(Notes::default())
}

#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    contains: String,
}

async fn list(State(notes): State<Notes>, Query(filter): Query<Filter>) -> impl IntoResponse {
    Json(notes.containing(&filter.contains))
}

async fn create(State(notes): State<Notes>, Json(draft): Json<Draft>) -> impl IntoResponse {
    (StatusCode::CREATED, Json(notes.add(draft)))
}

async fn one(State(notes): State<Notes>, Path(id): Path<usize>) -> Result<impl IntoResponse, StatusCode> {
    notes.get(id).map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// A line for each note, streamed.
async fn export(State(notes): State<Notes>) -> Body {
    let lines = notes.containing("").into_iter().map(|note| format!("{}\t{}\n", note.id, note.text));
    Body::from_stream(futures_util::stream::iter(lines.map(Ok::<_, std::convert::Infallible>)))
}

async fn about(Extension(context): Extension<Context>) -> String {
    format!("{}@{}\n", context.function_id(), context.function_version())
}

/// A middleware: requires a user agent.
async fn require_agent(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::USER_AGENT) {
        next.run(request).await
    } else {
        (StatusCode::BAD_REQUEST, "user-agent is missing\n").into_response()
    }
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_note_is_created_and_found() {
        let draft = json!({ "text": "water the plants" });
        let note = TestRequest::post("/notes").header("user-agent", "test").json(&draft).call(app);
        let id = note.assert_status(201).json()["id"].clone();
        let path = format!("/notes/{id}");
        let found = TestRequest::get(&path).header("user-agent", "test").call(app);
        assert_eq!(found.assert_status(200).json()["text"], "water the plants");
        assert_eq!(found.header("cache-control"), Some("no-store"));
    }

    #[test]
    fn a_client_without_a_user_agent_is_refused() {
        TestRequest::get("/notes").call(app).assert_status(400);
    }
}
