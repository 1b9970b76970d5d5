//! Errors as problem documents (RFC 9457), with types of their own.

use fezz_sdk::http::StatusCode;
use fezz_sdk::{FezzHttpResponse, FieldError, Level};
use serde::Serialize;

use crate::store::StoreError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("this function does not serve `{0}`; its fezz.json has a route too many")]
    UnknownRoute(String),
    #[error("there is no todo `{0}`")]
    NoSuchTodo(String),
    #[error("the body must be JSON, with content type application/json")]
    ContentType,
    #[error("the body is not JSON: {0}")]
    Json(#[source] serde_json::Error),
    #[error("{}", list(.0))]
    Query(Vec<FieldError>),
    #[error("{}", list(.0))]
    Todo(Vec<FieldError>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An invalid field of a todo, or an invalid parameter of a query.
pub(crate) fn field_error(field: &str, message: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), message: message.into() }
}

/// The members of a problem document.
#[derive(Debug, Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [FieldError]>,
    request_id: &'a str,
}

impl Problem {
    /// The problem as a response. Details of a server error are logged, and not sent.
    pub(crate) fn respond(&self, request_id: &str) -> FezzHttpResponse {
        let status = self.status();
        if status.is_server_error() {
            fezz_sdk::log(Level::Error, &format!("request {request_id}: {self}"));
        }
        let (kind, title) = self.kind(status);
        let response = FezzHttpResponse::new(status).header("content-type", "application/problem+json");
        let document = Document {
            r#type: kind,
            title,
            status: status.as_u16(),
            detail: self.detail(),
            errors: self.errors(),
            request_id,
        };
        match status {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => response.header("accept", "application/json"),
            StatusCode::SERVICE_UNAVAILABLE => response.header("retry-after", "1"),
            _ => response,
        }
        .json(&document)
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownRoute(_) | Self::NoSuchTodo(_) => StatusCode::NOT_FOUND,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Json(_) | Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Todo(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Store(error) if error.is_busy() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Type and title. The type is `about:blank` for a problem without further meaning than its status.
    fn kind(&self, status: StatusCode) -> (&'static str, &'static str) {
        match self {
            Self::Query(_) => ("urn:todosapi:invalid-query", "The query is not valid"),
            Self::Todo(_) => ("urn:todosapi:invalid-todo", "The todo is not valid"),
            _ => ("about:blank", status.canonical_reason().unwrap_or("Problem")),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Store(error) if error.is_busy() => "the todos are busy; try again".to_owned(),
            Self::Store(_) => "the todos cannot be read or written".to_owned(),
            _ => self.to_string(),
        }
    }

    fn errors(&self) -> Option<&[FieldError]> {
        match self {
            Self::Query(errors) | Self::Todo(errors) => Some(errors),
            _ => None,
        }
    }
}

/// All errors in one line.
fn list(errors: &[FieldError]) -> String {
    let lines: Vec<_> = errors.iter().map(|error| format!("`{}` {}", error.field, error.message)).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(problem: &Problem) -> (FezzHttpResponse, Value) {
        let response = problem.respond("r-1");
        let document = serde_json::from_slice(response.body()).unwrap();
        (response, document)
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let (response, document) = document(&Problem::NoSuchTodo("7".to_owned()));
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let expected = json!({
            "type": "about:blank", "title": "Not Found", "status": 404,
            "detail": "there is no todo `7`", "request_id": "r-1",
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn field_errors_are_listed_and_joined_in_the_detail() {
        let errors = vec![field_error("title", "is required"), field_error("x", "is not known")];
        let (response, document) = document(&Problem::Todo(errors));
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(document["detail"], "`title` is required; `x` is not known");
        assert_eq!(document["errors"][1], json!({ "field": "x", "message": "is not known" }));
    }

    #[test]
    fn server_errors_are_not_disclosed() {
        let (response, document) = document(&Problem::Store(StoreError::NoLocation));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(document["detail"], "the todos cannot be read or written");
    }

    #[test]
    fn some_statuses_have_a_header_for_the_client() {
        assert_eq!(Problem::ContentType.respond("r").headers()["accept"], "application/json");
        let busy = Problem::Store(StoreError::Exhausted(crate::pool::Exhausted)).respond("r");
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.headers()["retry-after"], "1");
    }
}
