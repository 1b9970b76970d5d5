//! Observe: one span and one line for each request, at debug level; switched off they cost one comparison.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::Either;
use http::Response;
use tower::{Layer, Service};
use tracing::{Instrument, Level};

use crate::arrive::Arrived;

/// Puts observation over a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObserveLayer;

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner }
    }
}

/// See [`ObserveLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Observe<S> {
    inner: S,
}

impl<S> Service<Arrived> for Observe<S>
where
    S: Service<Arrived, Response = Response<Body>, Future: Send + 'static>,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Arrived) -> Self::Future {
        if !tracing::enabled!(Level::DEBUG) {
            return Either::Left(self.inner.call(request));
        }
        let span = tracing::debug_span!(
            "request",
            method = %request.head.parts.method,
            path = request.head.parts.uri.path(),
            request_id = request.head.id(),
        );
        let begin = request.head.since;
        let answer = self.inner.call(request);
        Either::Right(Box::pin(
            async move {
                let response = answer.await?;
                let micros = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
                tracing::debug!(status = response.status().as_u16(), micros, "answered");
                Ok(response)
            }
            .instrument(span),
        ))
    }
}
