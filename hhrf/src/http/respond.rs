//! Respond: turns a function's reply, or any stage's error, into a response. The only place that chooses a status.
//!
//! An error becomes a problem document (RFC 9457) that says what the client can act on, and one log line that says the
//! rest.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use fezz_guard::Violation;
use fezz_runtime::ffi::{Reply, ReplyError};
use futures_util::future::Either;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use serde::Serialize;
use tower::{Layer, Service};

use super::error::Error;
use super::head_limits::HeadError;
use super::hop_by_hop;
use super::request::Received;
use super::route::{RouteError, RouteMatch, WithRoute};
use crate::call::{BodyError, CallError};
use crate::function::{RouteStats, method_label};
use crate::load::{LoadError, seconds};

/// Say which function answered, and which build of it.
const FUNCTION: HeaderName = HeaderName::from_static("x-fezz-function");
const DIGEST: HeaderName = HeaderName::from_static("x-fezz-digest");

/// What the stages below answer when nothing went wrong.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A function's reply.
    Reply(Reply<Body>),
    /// The methods of a path (RFC 9110, section 9.3.7).
    Options { allow: String },
}

/// Puts this stage over services that answer with an [`Answer`] or an [`Error`].
#[derive(Clone, Debug)]
pub(super) struct RespondLayer {
    /// Whether a panic's message reaches the client.
    expose_panics: bool,
    /// Counts answers to requests for no function's route.
    unmatched: Arc<RouteStats>,
}

impl RespondLayer {
    pub(super) const fn new(expose_panics: bool, unmatched: Arc<RouteStats>) -> Self {
        Self { expose_panics, unmatched }
    }
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { layer: self.clone(), inner }
    }
}

/// The service of [`RespondLayer`].
#[derive(Clone, Debug)]
pub(super) struct Respond<S> {
    layer: RespondLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Respond<S>
where
    S: Service<Received, Response = WithRoute<Answer>, Error = WithRoute<Error>, Future: Unpin>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Responding<S::Future>, std::future::Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The stages below are always ready; what they cannot take they answer with an error.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(received) = Received::new(request) else {
            return Either::Right(std::future::ready(Ok(failure("the request has lost its arrival"))));
        };
        let head = &received.head;
        let asked = Asked {
            method: method_label(&head.parts.method),
            is_head: head.parts.method == Method::HEAD,
            id: head.id.clone(),
            since: head.since,
        };
        Either::Left(Responding { layer: self.layer.clone(), asked, inner: self.inner.call(received) })
    }
}

/// What a response needs of its request.
#[derive(Debug)]
struct Asked {
    method: &'static str,
    is_head: bool,
    id: HeaderValue,
    since: Instant,
}

/// Waits for the outcome of the stages below, and makes a response of it.
#[derive(Debug)]
pub(super) struct Responding<F> {
    layer: RespondLayer,
    asked: Asked,
    inner: F,
}

impl<F> Future for Responding<F>
where
    F: Future<Output = Result<WithRoute<Answer>, WithRoute<Error>>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.inner).poll(cx));
        let Self { layer, asked, .. } = &*self;
        let (matched, mut response) = match outcome {
            Ok(WithRoute { matched, value: Answer::Reply(reply) }) => {
                (matched, function_reply(reply, asked.is_head))
            }
            Ok(WithRoute { matched, value: Answer::Options { allow } }) => (matched, options(&allow)),
            Err(failed) => {
                let id = asked.id.to_str().unwrap_or_default();
                log(&failed, id);
                let response = problem(&failed, id, layer.expose_panics);
                (failed.matched, response)
            }
        };
        layer.finish(matched.as_ref(), asked, &mut response);
        Poll::Ready(Ok(response))
    }
}

impl RespondLayer {
    /// Names the function in the answer, and counts the answer.
    fn finish(&self, matched: Option<&RouteMatch>, asked: &Asked, response: &mut Response<Body>) {
        if let Some(RouteMatch { function, .. }) = matched {
            let headers = response.headers_mut();
            headers.insert(FUNCTION, function.tag.name.clone());
            headers.insert(DIGEST, function.tag.digest.clone());
        }
        let of_route = matched.and_then(|matched| matched.function.route_stats.get(matched.route?));
        let stats = of_route.unwrap_or(&self.unmatched);
        stats.answered(asked.method, response.status(), asked.since.elapsed());
    }
}

/// The response to a request whose stage panicked: a defect of the host.
#[expect(clippy::needless_pass_by_value, reason = "the signature that CatchPanicLayer asks for")]
pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Response<Body> {
    failure(&format!("the host panicked: {}", panic_message(&*payload)))
}

fn failure(cause: &str) -> Response<Body> {
    tracing::error!("{cause}; this is a defect of the host");
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    problem_response(&Problem {
        r#type: "about:blank",
        title: "Internal Server Error",
        status: status.as_u16(),
        detail: FAILED,
        function: None,
        request_id: None,
    })
}

fn function_reply(reply: Reply<Body>, is_head: bool) -> Response<Body> {
    let Reply { status, mut headers, body } = reply;
    // Those that frame the message on the wire are the host's own.
    hop_by_hop::strip(&mut headers);
    // Comparing the names of a few headers costs less than hashing one.
    if headers.keys().any(|name| *name == CONTENT_LENGTH) {
        headers.remove(CONTENT_LENGTH);
    }
    // RFC 9110, section 8.6: these have no content, and 204 no length either.
    let empty = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    // None for a stream, which is dropped unread where it is not sent.
    let length = body.size_hint().exact();
    let mut response = Response::new(if is_head || empty { Body::empty() } else { body });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(length) = length.filter(|_| is_head && !empty) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

fn options(allow: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set(&mut response, ALLOW, allow);
    response
}

/// A problem document (RFC 9457), with the request's id as an extension.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// The detail where the fault is not the client's: the cause is for the log alone.
const NOT_LOADED: &str =
    "the function cannot be loaded at the moment; the log has the cause under this request's id";
const FAILED: &str = "the function or its host failed; the log has the cause under this request's id";

fn problem(failed: &WithRoute<Error>, request_id: &str, expose_panics: bool) -> Response<Body> {
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
        Error::Call(CallError::Overloaded { .. }) => set(&mut response, RETRY_AFTER, "10"),
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

fn problem_response(problem: &Problem<'_>) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_vec(problem).unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or_default();
    set(&mut response, CONTENT_TYPE, "application/problem+json");
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
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
        Error::Route(RouteError::BadPath(_) | RouteError::BadParameter { .. }) => StatusCode::BAD_REQUEST,
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

fn log(failed: &WithRoute<Error>, request_id: &str) {
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
            CallError::NoWorker => "calls refused: no worker was free before their deadline",
            CallError::NoMemory => "calls failed: unsent answers take all the memory that they may",
            CallError::Lost => "calls lost",
        },
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
