//! Resolve: finds the loaded library of a function, loading it where it is not loaded.
//!
//! Knows libraries and the cache, neither routes nor HTTP.

mod cache;
mod load;
mod retire;
mod slot;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::Either;
use tower::{Layer, Service};

pub(crate) use cache::{AllShutDown, Cache};
pub(crate) use load::{LoadError, Loaded, Target};
pub(crate) use retire::retire;
pub(crate) use slot::Slot;

use crate::error::Error;
use crate::route::Routed;

/// A request whose function is loaded, or has a pool of workers.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) routed: Routed,
    pub(crate) target: Target,
}

/// Puts the cache before a service that needs loaded functions.
#[derive(Clone, Debug)]
pub(crate) struct ResolveLayer(pub(crate) Cache);

impl<S> Layer<S> for ResolveLayer {
    type Service = Resolve<S>;

    fn layer(&self, inner: S) -> Resolve<S> {
        Resolve { cache: self.0.clone(), inner }
    }
}

/// See [`ResolveLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Resolve<S> {
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

    fn call(&mut self, routed: Routed) -> Self::Future {
        let function = &routed.function;
        if function.quarantined.is_none()
            && let Some(target) = self.cache.at_hand(function, routed.head.since)
        {
            return Either::Left(self.inner.call(Resolved { routed, target }));
        }
        let cache = self.cache.clone();
        let mut inner = self.inner.clone();
        Either::Right(Box::pin(async move {
            if let Some(reason) = &routed.function.quarantined {
                return Err(Error::Quarantined(reason.clone()));
            }
            let target =
                cache.get(&routed.function).await.inspect_err(|_| _ = routed.function.stats.errors.inc())?;
            inner.call(Resolved { routed, target }).await
        }))
    }
}
