//! Respond: turns a function's reply, or any stage's error, into a response. The only place that chooses a status.
//!
//! An error becomes a problem document (RFC 9457) that says what the client can act on, and one log line that says the
//! rest.

mod problem;

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use fezz_runtime::ffi::Reply;
use futures_util::future::Either;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use tower::{Layer, Service};

use super::cors;
use super::error::Error;
use super::hop_by_hop;
use super::request::Received;
use super::route::{RouteMatch, WithRoute};
use crate::call::parse_length;
use crate::function::{RouteStats, method_label};
use problem::{FAILED, Problem, log, problem, problem_response, set};

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
    /// The rules for a page of another origin.
    Preflight(Box<HeaderMap>),
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
        let is_connect = *request.method() == Method::CONNECT;
        let Some(received) = Received::new(request) else {
            return Either::Right(std::future::ready(Ok(failure("the request has lost its arrival"))));
        };
        let head = &received.head;
        let asked = Asked {
            method: method_label(&head.parts.method),
            is_head: head.parts.method == Method::HEAD,
            is_connect,
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
    /// Whether it was an extended CONNECT of HTTP/2.
    is_connect: bool,
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
                if reply.status == StatusCode::SWITCHING_PROTOCOLS {
                    (matched, switching(reply, asked.is_connect))
                } else {
                    (matched, function_reply(reply, asked.is_head))
                }
            }
            Ok(WithRoute { matched, value: Answer::Options { allow } }) => (matched, options(&allow)),
            Ok(WithRoute { matched, value: Answer::Preflight(headers) }) => (matched, preflight(*headers)),
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
        if let Some(RouteMatch { function, origin, .. }) = matched {
            let headers = response.headers_mut();
            if let Some(policy) = &function.cors {
                cors::add(policy, origin.as_deref(), headers);
            }
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
    // 426 says which protocol it asks for (RFC 9110, section 15.5.22).
    let required = (status == StatusCode::UPGRADE_REQUIRED).then(|| headers.get(UPGRADE).cloned()).flatten();
    // Those that frame the message on the wire are the host's own.
    hop_by_hop::strip(&mut headers);
    if let Some(protocols) = required {
        headers.insert(UPGRADE, protocols);
    }
    // These have no content (RFC 9110, section 8.6).
    let empty = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    set_length(&mut headers, &body, is_head, empty);
    // A stream is dropped unread where it is not sent.
    let mut response = Response::new(if is_head || empty { Body::empty() } else { body });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The response that accepts an upgrade; on HTTP/2 that is 200 (RFC 8441, section 5).
fn switching(reply: Reply<Body>, is_connect: bool) -> Response<Body> {
    let Reply { status, mut headers, body } = reply;
    let protocol = headers.get(UPGRADE).cloned();
    hop_by_hop::strip(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let mut response = Response::new(body);
    if is_connect {
        headers.remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        *response.status_mut() = status;
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.extend(protocol.map(|protocol| (UPGRADE, protocol)));
    }
    *response.headers_mut() = headers;
    response
}

/// The rules themselves are added to every answer.
fn preflight(headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    response
}

/// Keeps the function's `content-length` if it is that of the body, and of a HEAD whose function left the body out; else
/// the length is the body's own, which hyper sets.
fn set_length(headers: &mut HeaderMap, body: &Body, is_head: bool, empty: bool) {
    let length = body.size_hint().exact();
    // Comparing the names of a few headers costs less than hashing one.
    if headers.keys().any(|name| *name == CONTENT_LENGTH) {
        let mut values = headers.get_all(CONTENT_LENGTH).iter();
        let sent = values.next().and_then(parse_length).filter(|_| values.next().is_none());
        if !empty && sent.is_some() && (sent == length || (is_head && length.unwrap_or_default() == 0)) {
            return;
        }
        headers.remove(CONTENT_LENGTH);
    }
    // Nothing at all may stand for a body that was left out.
    if let Some(length) = length.filter(|length| is_head && !empty && *length > 0) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn options(allow: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set(&mut response, ALLOW, allow);
    response
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
