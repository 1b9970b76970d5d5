//! `Json`, its rejections, `Option` and `Result` of it, and JSON lines.

use axum::extract::FromRequest;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use axum_extra::extract::WithRejection;
use axum_extra::json_lines::JsonLines;
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, steps};

#[derive(Debug, Deserialize, Serialize)]
struct Note {
    text: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// An error of the application's own, made from axum's.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Problem(#[from] JsonRejection);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0.status(), Json(json!({ "error": self.0.body_text() }))).into_response()
    }
}

/// An extractor derived from `Json`, with that rejection.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(Problem))]
struct Own<T>(T);

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/note", post(|Json(note): Json<Note>| async move { Json(note) }))
        .route("/any", post(|Json(value): Json<Value>| async move { Json(value) }))
        .route("/option", post(|note: Option<Json<Note>>| async move { format!("{note:?}") }))
        .route("/result", post(result))
        .route("/own", post(|Own(note): Own<Note>| async move { note.text }))
        .route(
            "/with",
            post(|WithRejection(Json(note), _): WithRejection<Json<Note>, Problem>| async move { note.text }),
        )
        .route("/lines", post(lines))
}

async fn result(note: Result<Json<Note>, JsonRejection>) -> String {
    match note {
        Ok(Json(note)) => note.text,
        Err(JsonRejection::MissingJsonContentType(_)) => "no content type".into(),
        Err(JsonRejection::JsonDataError(error)) => format!("data: {error}"),
        Err(JsonRejection::JsonSyntaxError(error)) => format!("syntax: {error}"),
        Err(rejection) => format!("{}: {}", rejection.status(), rejection.body_text()),
    }
}

async fn lines(lines: JsonLines<Note>) -> Response {
    match lines.try_collect::<Vec<_>>().await {
        Ok(notes) => {
            JsonLines::new(futures_util::stream::iter(notes).map(Ok::<_, axum::Error>)).into_response()
        }
        Err(error) => error.to_string().into_response(),
    }
}

pub(crate) fn script() -> Vec<Step> {
    let bodies = [
        r#"{"text":"a"}"#,
        r#"{"text":"a","tags":["x","y"]}"#,
        r#"{"text":7}"#,
        r#"{"tags":[]}"#,
        r#"{"text":"a""#,
        "",
        "null",
        "[]",
        r#"{"text":"\u00e9\ud83d\ude00"}"#,
        r#"{"text":"a"} x"#,
        "{\"text\":\"a\"}\n",
        r#"{"text":"a","text":"b"}"#,
        "1e400",
        "\"\\ud800\"",
        "{\"text\":\"a\"}\n{\"text\":\"b\"}\n",
        "{\"text\":\"a\"}\n\n{\"text\":7}\n",
    ];
    let paths = ["/note", "/any", "/option", "/result", "/own", "/with", "/lines"];
    let all = paths.into_iter().flat_map(|path| bodies.map(|body| send(path).json(body)));
    let types = [
        "application/json; charset=utf-8",
        "application/cloudevents+json",
        "application/vnd.api+json",
        "text/json",
        "APPLICATION/JSON",
        "application/json5",
        "application/jsonp",
        "text/plain",
        "json",
        "application/",
        "",
    ];
    let types = types.into_iter().flat_map(|kind| {
        ["/note", "/option", "/result", "/own", "/with"].map(|path| send(path).typed(kind, r#"{"text":"a"}"#))
    });
    let more = [
        send("/note"),
        send("/option"),
        send("/note").body(r#"{"text":"a"}"#),
        fetch("/note"),
        send("/note").json(&format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000))),
        send("/note").json(&"[".repeat(1000)),
        send("/any").json(&format!("{}1{}", "[".repeat(100), "]".repeat(100))),
        send("/note").header("content-type", "application/json").chunks(&[r#"{"te"#, r#"xt":""#, r#"a"}"#]),
        send("/note").typed("application/json", vec![b'"', 0xff, b'"']),
        send("/note").json(&format!(r#"{{"text":"{}"}}"#, "x".repeat(3_000_000))),
    ];
    steps(all.chain(types).chain(more))
}
