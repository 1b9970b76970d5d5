//! [`FezzError`]: errors as problem documents (RFC 9457).

use std::any::Any;
use std::error::Error;
use std::fmt::{self, Write as _};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::body::BoxError;
use crate::entry::current;
use crate::{BodyError, BodyStreamError, FezzHttpResponse, IntoFezzResponse, Level};

/// An error response: a status, and a problem document (RFC 9457) with what the client needs to know.
///
/// `?` converts any [`std::error::Error`] to a 500. Its causes are logged and not sent: they may hold secrets.
///
/// ```
/// use fezz_sdk::{FezzError, Path, fezz_function};
///
/// #[fezz_function]
/// pub fn line(Path(number): Path<usize>) -> Result<String, FezzError> {
///     let text = std::fs::read_to_string("/etc/hosts")?;
///     text.lines()
///         .nth(number)
///         .map(str::to_owned)
///         .ok_or_else(|| FezzError::not_found(format!("there is no line {number}")))
/// }
/// ```
#[derive(Debug)]
pub struct FezzError {
    status: StatusCode,
    /// For the client.
    detail: Option<String>,
    fields: Vec<FieldError>,
    /// For the log.
    source: Option<BoxError>,
}

/// An invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's path: `title`, `address.street`, `items[2].price`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl FezzError {
    /// An error with a status and a detail for the client.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: Some(detail.into()), fields: Vec::new(), source: None }
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: the resource does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 422: the request is well-formed but invalid.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 500, with a reason that is logged and not sent.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::from_boxed(reason.into().into())
    }

    pub(crate) fn from_boxed(source: BoxError) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            detail: None,
            fields: Vec::new(),
            source: Some(source),
        }
    }

    /// Adds a cause, which is logged and not sent.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds an invalid field of the request.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.fields.push(FieldError { field: field.into(), message: message.into() });
        self
    }

    /// Sets the status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The invalid fields.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }
}

/// The detail and all causes, for the log.
impl fmt::Display for FezzError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.detail, &self.source) {
            (Some(detail), None) => f.write_str(detail),
            (Some(detail), Some(source)) => write!(f, "{detail}: {}", chain(&**source)),
            (None, Some(source)) => f.write_str(&chain(&**source)),
            (None, None) => f.write_str(self.status.as_str()),
        }
    }
}

/// An error and its causes in one line, without causes that the text already ends with.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}

impl<E: Error + Send + Sync + 'static> From<E> for FezzError {
    fn from(error: E) -> Self {
        // The client's fault, so it gets the message.
        let any: &dyn Any = &error;
        if any.is::<BodyError>() || any.is::<BodyStreamError>() {
            return Self::bad_request(error.to_string());
        }
        Self::from_boxed(Box::new(error))
    }
}

/// A problem document.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
}

impl IntoFezzResponse for FezzError {
    fn into_fezz_response(self) -> FezzHttpResponse {
        let request_id = current::request_id();
        if self.status.is_server_error() {
            crate::log(Level::Error, &self.to_string());
        } else if self.source.is_some() {
            crate::log(Level::Debug, &self.to_string());
        }
        let problem = Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.as_deref(),
            errors: &self.fields,
            request_id: &request_id,
        };
        let mut response = FezzHttpResponse::new(self.status).json(&problem);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
