//! The response to a request that failed: its status, a problem document, and one log line.

use axum::body::Body;
use fezz_guard::Violation;
use fezz_runtime::ffi::ReplyError;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::call::{BodyError, CallError};
use crate::http::error::Error;
use crate::http::head_limits::HeadError;
use crate::http::route::{RouteError, WithRoute};
use crate::load::{LoadError, seconds};

/// A problem document (RFC 9457), with the request's id as an extension.
#[derive(Serialize)]
pub(super) struct Problem<'a> {
    pub(super) r#type: &'a str,
    pub(super) title: &'a str,
    pub(super) status: u16,
    pub(super) detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<&'a str>,
}

/// The detail where the fault is not the client's: the cause is for the log alone.
const NOT_LOADED: &str =
    "the function cannot be loaded at the moment; the log has the cause under this request's id";
pub(super) const FAILED: &str =
    "the function or its host failed; the log has the cause under this request's id";

pub(super) fn problem(failed: &WithRoute<Error>, request_id: &str, expose_panics: bool) -> Response<Body> {
    let error = &failed.value;
    let status = status(error);
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: &detail(error, status, expose_panics),
        function: failed.function_name(),
        request_id: Some(request_id),
    };
    let mut response = problem_response(&problem);
    match error {
        Error::Route(RouteError::MethodNotAllowed { allow, .. }) => set(&mut response, ALLOW, allow),
        Error::Load(LoadError::Failed { again, .. }) => {
            set(&mut response, RETRY_AFTER, &seconds(*again).to_string());
        }
        Error::Call(CallError::NotStarted(_)) => set(&mut response, RETRY_AFTER, "1"),
        Error::Call(
            CallError::Full { again, .. }
            | CallError::QueuedTooLong { again, .. }
            | CallError::Resting { again },
        ) => set(&mut response, RETRY_AFTER, &seconds(*again).to_string()),
        Error::Call(CallError::Overloaded { .. } | CallError::Upgrades { .. }) => {
            set(&mut response, RETRY_AFTER, "10");
        }
        Error::Call(CallError::NoWorker | CallError::NoMemory) => set(&mut response, RETRY_AFTER, "1"),
        Error::Call(CallError::Body(BodyError::NoMemory)) => {
            set(&mut response, RETRY_AFTER, "1");
            set(&mut response, CONNECTION, "close");
        }
        // What is left of these bodies must not be taken for the next request.
        Error::Call(CallError::Body(_)) => set(&mut response, CONNECTION, "close"),
        _ => {}
    }
    response
}

pub(super) fn problem_response(problem: &Problem<'_>) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_vec(problem).unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or_default();
    set(&mut response, CONTENT_TYPE, "application/problem+json");
    response
}

pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::Head(HeadError::Violation(violation)) => match violation {
            Violation::TooManyHeaders | Violation::HeadTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Violation::TargetTooLong => StatusCode::URI_TOO_LONG,
            Violation::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        },
        Error::Head(HeadError::TooManyHeaders { .. } | HeadError::TooLarge { .. }) => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        Error::Head(HeadError::AmbiguousHost) => StatusCode::BAD_REQUEST,
        Error::Route(
            RouteError::BadPath(_) | RouteError::BadParameter { .. } | RouteError::NoUpgrade { .. },
        ) => StatusCode::BAD_REQUEST,
        Error::Route(RouteError::MethodNotAllowed { .. }) => StatusCode::METHOD_NOT_ALLOWED,
        Error::Route(_) => StatusCode::NOT_FOUND,
        Error::Quarantined(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Load(LoadError::Deadline { .. }) => StatusCode::GATEWAY_TIMEOUT,
        Error::Load(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Call(error) => match error {
            CallError::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            CallError::Body(BodyError::Timeout { .. }) => StatusCode::REQUEST_TIMEOUT,
            CallError::Body(BodyError::Broken(_) | BodyError::Stopped) => StatusCode::BAD_REQUEST,
            CallError::Body(BodyError::NoMemory) | CallError::NoWorker | CallError::NoMemory => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            CallError::Full { .. }
            | CallError::QueuedTooLong { .. }
            | CallError::Resting { .. }
            | CallError::Overloaded { .. }
            | CallError::Upgrades { .. }
            | CallError::NotStarted(_) => StatusCode::SERVICE_UNAVAILABLE,
            CallError::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            CallError::Reply(ReplyError::Panicked(_) | ReplyError::Failed(_)) | CallError::Lost => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            CallError::Reply(_) | CallError::Crashed(_) => StatusCode::BAD_GATEWAY,
        },
    }
}

/// The detail for the client. If the fault is not the client's, the cause goes to the log alone.
fn detail(error: &Error, status: StatusCode, expose_panics: bool) -> String {
    match error {
        Error::Call(CallError::Reply(ReplyError::Panicked(_))) if expose_panics => error.to_string(),
        Error::Quarantined(_) | Error::Load(LoadError::Deadline { .. }) => error.to_string(),
        Error::Load(LoadError::Failed { .. }) | Error::Call(CallError::NotStarted(_)) => {
            NOT_LOADED.to_owned()
        }
        Error::Call(
            CallError::Full { .. }
            | CallError::QueuedTooLong { .. }
            | CallError::NoWorker
            | CallError::NoMemory
            | CallError::Body(BodyError::NoMemory)
            | CallError::Deadline { .. }
            | CallError::Resting { .. }
            | CallError::Upgrades { .. }
            | CallError::Overloaded { .. },
        ) => error.to_string(),
        Error::Call(CallError::Crashed(_)) => "the function crashed while it served this request".to_owned(),
        _ if status.is_client_error() => error.to_string(),
        _ if status == StatusCode::BAD_GATEWAY => {
            "the function gave an answer that cannot be sent".to_owned()
        }
        _ => FAILED.to_owned(),
    }
}

pub(super) fn log(failed: &WithRoute<Error>, request_id: &str) {
    let (error, function) = (&failed.value, failed.function_name());
    let status = status(error);
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::GATEWAY_TIMEOUT {
        tracing::warn!(kind = kind(error), status = status.as_u16(), request_id, function, "{error}");
    } else if status.is_server_error() {
        tracing::error!(kind = kind(error), status = status.as_u16(), request_id, function, "{error}");
    } else {
        tracing::debug!(status = status.as_u16(), request_id, function, "{error}");
    }
}

/// What errors have in common that are summed up in the log.
const fn kind(error: &Error) -> &'static str {
    match error {
        Error::Quarantined(_) => "calls refused: the function is in quarantine",
        Error::Load(_) => "calls failed: the function cannot be loaded",
        Error::Head(_) | Error::Route(_) => "requests refused",
        Error::Call(error) => match error {
            CallError::Body(_) => "requests refused: their bodies cannot be read",
            CallError::Full { .. } => "calls refused: the function's queue is full",
            CallError::QueuedTooLong { .. } => "calls refused: they waited too long in the function's queue",
            CallError::Deadline { .. } => "calls passed their deadline",
            CallError::Reply(ReplyError::Panicked(_)) => "calls panicked",
            CallError::Reply(_) => "calls failed: the function's answer cannot be sent",
            CallError::Crashed(_) => "calls failed: the function crashed",
            CallError::NotStarted(_) => "calls failed: no worker could be started",
            CallError::Resting { .. } => "calls refused: the function crashed too often",
            CallError::Overloaded { .. } => "calls refused: too many calls run that nobody waits for",
            CallError::Upgrades { .. } => "upgrades refused: the function has as many as it may",
            CallError::NoWorker => "calls refused: no worker was free before their deadline",
            CallError::NoMemory => "calls failed: unsent answers take all the memory that they may",
            CallError::Lost => "calls lost",
        },
    }
}
