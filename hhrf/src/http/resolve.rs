//! Resolve: finds a function's loaded library or workers in the cache, and loads what is not there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use futures_util::future::Either;
use http_body::Body as _;
use tower::{Layer, Service};

use super::error::Error;
use super::route::Routed;
use crate::call::{CallRequest, Permit};
use crate::function::Function;
use crate::load::{Cache, LoadError, Loaded};

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

    fn call(&mut self, Routed { mut request, body }: Routed) -> Self::Future {
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
            let (loaded, permit) = load(&cache, function, request.head.since).await?;
            // With a body to come, a slow client would hold it.
            request.permit = Some(permit).filter(|_| body.is_end_stream());
            inner.call(Resolved { request, body, loaded }).await
        }))
    }
}

/// Waits for a load as a call does: within the function's limit of calls and until the request's deadline, and counted.
async fn load(cache: &Cache, function: &Arc<Function>, since: Instant) -> Result<(Loaded, Permit), Error> {
    let deadline = since + function.limits.timeout;
    let permit = Permit::acquire(function, deadline).await?;
    let loaded = cache.get(function, deadline).await.inspect_err(|error| match error {
        LoadError::Deadline { .. } => _ = function.stats.timeouts.inc(),
        _ => _ = function.stats.errors.inc(),
    })?;
    Ok((loaded, permit))
}
