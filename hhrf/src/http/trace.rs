//! Trace: gives each request its id, returns it with the answer, and at debug level makes a span and an event of both.
//!
//! Unlike tower-http's `TraceLayer` it costs one comparison while debug is off.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use http::{HeaderValue, Request, Response};
use tower::{Layer, Service};
use tracing::{Level, Span};

use super::peer::Peer;
use super::request::{Arrival, RequestIds};
use crate::call::REQUEST_ID;

/// Puts tracing over the services of one connection.
#[derive(Clone, Debug)]
pub(super) struct TraceLayer {
    peer: Arc<Peer>,
    ids: Arc<RequestIds>,
}

impl TraceLayer {
    pub(super) const fn new(peer: Arc<Peer>, ids: Arc<RequestIds>) -> Self {
        Self { peer, ids }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { layer: self.clone(), inner }
    }
}

/// The service of [`TraceLayer`].
#[derive(Clone, Debug)]
pub(super) struct Trace<S> {
    layer: TraceLayer,
    inner: S,
}

impl<S, B> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<B>, Future: Unpin>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Traced<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = self.layer.ids.of(request.headers());
        let since = Instant::now();
        let span = tracing::enabled!(Level::DEBUG).then(|| span(&request, &id));
        let arrival = Arrival { peer: Arc::clone(&self.layer.peer), id: id.clone(), since };
        if request.extensions().is_empty() {
            *request.extensions_mut() = self.layer.peer.take_extensions();
        }
        request.extensions_mut().insert(arrival);
        let answer = match &span {
            Some(span) => span.in_scope(|| self.inner.call(request)),
            None => self.inner.call(request),
        };
        Traced { answer, id, since, span }
    }
}

fn span(request: &Request<Body>, id: &HeaderValue) -> Span {
    tracing::debug_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
        request_id = id.to_str().unwrap_or_default(),
    )
}

/// Waits for the answer.
#[derive(Debug)]
pub(super) struct Traced<F> {
    answer: F,
    id: HeaderValue,
    since: Instant,
    span: Option<Span>,
}

impl<F, B, E> Future for Traced<F>
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let _entered = this.span.as_ref().map(Span::enter);
        let mut response = ready!(Pin::new(&mut this.answer).poll(cx))?;
        response.headers_mut().entry(REQUEST_ID).or_insert_with(|| this.id.clone());
        if this.span.is_some() {
            let micros = u64::try_from(this.since.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(status = response.status().as_u16(), micros, "answered");
        }
        Poll::Ready(Ok(response))
    }
}
