//! Resolve: finds a function's loaded library or workers in the cache, and loads what is not there.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::Either;
use tower::{Layer, Service};

use super::error::Error;
use super::route::Routed;
use crate::call::CallRequest;
use crate::load::{Cache, Loaded};

/// A request whose function is loaded.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) request: CallRequest,
    pub(super) body: Body,
    pub(super) loaded: Loaded,
}

/// Puts the cache before a service that needs loaded functions.
#[derive(Clone, Debug)]
pub(super) struct ResolveLayer(pub(super) Cache);

impl<S> Layer<S> for ResolveLayer {
    type Service = Resolve<S>;

    fn layer(&self, inner: S) -> Resolve<S> {
        Resolve { cache: self.0.clone(), inner }
    }
}

/// The service of [`ResolveLayer`].
#[derive(Clone, Debug)]
pub(super) struct Resolve<S> {
    cache: Cache,
    inner: S,
}

impl<S> Service<Routed> for Resolve<S>
where
    S: Service<Resolved, Error = Error, Future: Send + Unpin> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<S::Response, Error>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, Routed { request, body }: Routed) -> Self::Future {
        let function = &request.function;
        if function.quarantined.is_none()
            && let Some(loaded) = self.cache.cached(function, request.head.since)
        {
            return Either::Left(self.inner.call(Resolved { request, body, loaded }));
        }
        let cache = self.cache.clone();
        let mut inner = self.inner.clone();
        Either::Right(Box::pin(async move {
            let function = &request.function;
            if let Some(reason) = &function.quarantined {
                return Err(Error::Quarantined(reason.clone()));
            }
            let loaded = cache.get(function).await.inspect_err(|_| _ = function.stats.errors.inc())?;
            inner.call(Resolved { request, body, loaded }).await
        }))
    }
}
