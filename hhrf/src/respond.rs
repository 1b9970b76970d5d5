//! Respond: turns a function's reply, or any stage's error, into a response. The only place that chooses a status.
//!
//! An error becomes a problem document (RFC 9457) that says what the client can act on, and one log line that says the
//! rest.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use serde::Serialize;
use tower::{Layer, Service};

use crate::arrive::{Arrived, REQUEST_ID};
use crate::error::{Error, Refusal};
use crate::ffi::{Reply, ReplyError};
use crate::invoke::{BodyError, InvokeError};
use crate::metrics::{RouteStats, method_label};
use crate::route::{Place, Placed, RouteError};
use fezz_guard::Violation;

/// Say which function answered, and which build of it.
const FUNCTION: HeaderName = HeaderName::from_static("x-fezz-function");
const DIGEST: HeaderName = HeaderName::from_static("x-fezz-digest");

/// What the stages below answer when nothing went wrong.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A function's reply.
    Reply(Reply<Body>),
    /// Which methods there are (RFC 9110, section 9.3.7).
    Options { allow: String },
}

/// Puts this stage over services that answer with an [`Answer`] or an [`Error`].
#[derive(Clone, Debug)]
pub(crate) struct RespondLayer {
    /// Whether a panic's message reaches the client.
    pub(crate) expose_panics: bool,
    /// Counts answers to requests that are for no function's route.
    pub(crate) elsewhere: Arc<RouteStats>,
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { here: self.clone(), inner }
    }
}

/// See [`RespondLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Respond<S> {
    here: RespondLayer,
    inner: S,
}

impl<S> Service<Arrived> for Respond<S>
where
    S: Service<Arrived, Response = Placed<Answer>, Error = Placed<Error>, Future: Unpin>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Responding<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The stages below are always ready; what they cannot take they answer with an error.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Arrived) -> Self::Future {
        let asked = Asked {
            method: method_label(&request.head.parts.method),
            is_head: request.head.parts.method == Method::HEAD,
            id: request.head.id.clone(),
            since: request.head.since,
        };
        // Unwind safety: what a panicking stage held is dropped with its future. A stage that panics before it has one
        // keeps nothing from one call to the next.
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        Responding { here: self.here.clone(), asked, called: called.map_err(Some) }
    }
}

/// What an answer takes from its request.
#[derive(Debug)]
struct Asked {
    method: &'static str,
    is_head: bool,
    id: HeaderValue,
    since: Instant,
}

type Payload = Box<dyn Any + Send>;
type Outcome = Result<Placed<Answer>, Placed<Error>>;

/// Waits for what the stages below come to, and makes a response of it.
#[derive(Debug)]
pub(crate) struct Responding<F> {
    here: RespondLayer,
    asked: Asked,
    /// An error is the panic of a call that came to no future; taken when it is answered.
    called: Result<F, Option<Payload>>,
}

impl<F: Future<Output = Outcome> + Unpin> Responding<F> {
    /// A panic is an outcome too.
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let polled = match &mut self.called {
            // Unwind safety: a future that has panicked is not polled again.
            Ok(future) => catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(cx))),
            Err(payload) => Err(payload.take().unwrap_or_else(|| Box::new("polled again"))),
        };
        polled.unwrap_or_else(|payload| Poll::Ready(Err(Error::Panic(panic_message(&*payload)).into())))
    }
}

impl<F: Future<Output = Outcome> + Unpin> Future for Responding<F> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.poll_outcome(cx));
        let Self { here, asked, .. } = &*self;
        let (place, mut response) = match outcome {
            Ok(Placed { place, what: Answer::Reply(reply) }) => (place, function_reply(reply, asked.is_head)),
            Ok(Placed { place, what: Answer::Options { allow } }) => (place, options(&allow)),
            Err(failed) => {
                let id = asked.id.to_str().unwrap_or_default();
                log(&failed, id);
                let response = problem(&failed, id, here.expose_panics);
                (failed.place, response)
            }
        };
        here.finish(place.as_ref(), asked, &mut response);
        Poll::Ready(Ok(response))
    }
}

impl RespondLayer {
    /// Counts an answer, and says whose it is.
    fn finish(&self, place: Option<&Place>, asked: &Asked, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        if let Some(Place { function, .. }) = place {
            headers.insert(FUNCTION, function.tag.name.clone());
            headers.insert(DIGEST, function.tag.digest.clone());
        }
        headers.entry(REQUEST_ID).or_insert_with(|| asked.id.clone());
        let of_route = place.and_then(|place| place.function.route_stats.get(place.route?));
        let stats = of_route.unwrap_or(&self.elsewhere);
        stats.answered(asked.method, response.status(), asked.since.elapsed());
    }
}

fn function_reply(reply: Reply<Body>, is_head: bool) -> Response<Body> {
    let Reply { status, headers, body } = reply;
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
    request_id: &'a str,
}

fn problem(failed: &Placed<Error>, request_id: &str, expose_panics: bool) -> Response<Body> {
    let error = &failed.what;
    let status = status(error);
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: &detail(error, status, expose_panics),
        function: failed.function_name(),
        request_id,
    };
    let mut response = Response::new(Body::from(serde_json::to_vec(&problem).unwrap_or_default()));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "application/problem+json");
    match error {
        Error::Route(RouteError::MethodNotAllowed { allow, .. }) => set(&mut response, ALLOW, allow),
        Error::Invoke(InvokeError::Full { .. }) => set(&mut response, RETRY_AFTER, "1"),
        Error::Invoke(InvokeError::Resting { again }) => {
            set(&mut response, RETRY_AFTER, &again.as_secs().max(1).to_string());
        }
        Error::Invoke(InvokeError::Overloaded { .. }) => set(&mut response, RETRY_AFTER, "10"),
        // What is left of these bodies must not be taken for the next request.
        Error::Invoke(InvokeError::Body(_)) => set(&mut response, CONNECTION, "close"),
        _ => {}
    }
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::Refused(Refusal::Connection(violation)) => match violation {
            Violation::TooManyHeaders | Violation::HeadTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Violation::TargetTooLong => StatusCode::URI_TOO_LONG,
            Violation::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        },
        Error::Refused(Refusal::TooManyHeaders { .. } | Refusal::HeadTooLarge { .. }) => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        Error::Route(RouteError::BadPath(_) | RouteError::BadParameter { .. }) => StatusCode::BAD_REQUEST,
        Error::Route(RouteError::MethodNotAllowed { .. }) => StatusCode::METHOD_NOT_ALLOWED,
        Error::Route(_) => StatusCode::NOT_FOUND,
        Error::Quarantined(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Resolve(_) | Error::Panic(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Invoke(error) => match error {
            InvokeError::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            InvokeError::Body(BodyError::Timeout { .. }) => StatusCode::REQUEST_TIMEOUT,
            InvokeError::Body(BodyError::Broken(_)) => StatusCode::BAD_REQUEST,
            InvokeError::Full { .. } | InvokeError::Resting { .. } | InvokeError::Overloaded { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            InvokeError::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            InvokeError::Reply(ReplyError::Panicked(_) | ReplyError::Failed(_))
            | InvokeError::NotStarted(_)
            | InvokeError::Lost => StatusCode::INTERNAL_SERVER_ERROR,
            InvokeError::Reply(_) | InvokeError::Crashed(_) => StatusCode::BAD_GATEWAY,
        },
    }
}

/// What the client is told. Where the fault is not the client's, the cause is for the log alone.
fn detail(error: &Error, status: StatusCode, expose_panics: bool) -> String {
    match error {
        Error::Invoke(InvokeError::Reply(ReplyError::Panicked(_))) if expose_panics => error.to_string(),
        Error::Quarantined(_) => error.to_string(),
        Error::Invoke(
            InvokeError::Full { .. }
            | InvokeError::Deadline { .. }
            | InvokeError::Resting { .. }
            | InvokeError::Overloaded { .. },
        ) => error.to_string(),
        Error::Invoke(InvokeError::Crashed(_)) => {
            "the function crashed while it served this request".to_owned()
        }
        _ if status.is_client_error() => error.to_string(),
        _ if status == StatusCode::BAD_GATEWAY => {
            "the function gave an answer that cannot be sent".to_owned()
        }
        _ => "the function or its host failed; the log has the cause under this request's id".to_owned(),
    }
}

fn log(failed: &Placed<Error>, request_id: &str) {
    let (error, function) = (&failed.what, failed.function_name());
    let status = status(error);
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::GATEWAY_TIMEOUT {
        tracing::warn!(status = status.as_u16(), request_id, function, "{error}");
    } else if status.is_server_error() {
        tracing::error!(status = status.as_u16(), request_id, function, "{error}");
    } else {
        tracing::debug!(status = status.as_u16(), request_id, function, "{error}");
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
