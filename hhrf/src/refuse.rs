//! Refuse: requests that no stage shall see, because their connection or their head is at fault.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::{Either, ready};
use http::{Request, Version};
use tower::{Layer, Service};

use crate::error::{Error, Refusal};
use crate::respond::Answer;
use crate::route::Placed;
use crate::serve::Peer;

/// Puts the check before a stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefuseLayer {
    pub(crate) max_headers: usize,
    pub(crate) max_head_bytes: usize,
}

impl<S> Layer<S> for RefuseLayer {
    type Service = Refuse<S>;

    fn layer(&self, inner: S) -> Refuse<S> {
        Refuse { limits: *self, inner }
    }
}

/// See [`RefuseLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Refuse<S> {
    limits: RefuseLayer,
    inner: S,
}

impl<S> Refuse<S> {
    fn check(&self, request: &Request<Body>) -> Result<(), Refusal> {
        let peer = request.extensions().get::<Arc<Peer>>();
        if let Some(violation) = peer.and_then(|peer| peer.rejection(request.method())) {
            return Err(Refusal::Connection(violation));
        }
        // The guard has counted for HTTP/1.
        if request.version() == Version::HTTP_2 { self.limits.check_size(request) } else { Ok(()) }
    }
}

impl RefuseLayer {
    fn check_size(self, request: &Request<Body>) -> Result<(), Refusal> {
        let found = request.headers().len();
        if found > self.max_headers + OWN_HEADERS {
            return Err(Refusal::TooManyHeaders { found: found - OWN_HEADERS, limit: self.max_headers });
        }
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        let headers = request.headers().iter();
        let found = headers.fold(target, |sum, (name, value)| sum + name.as_str().len() + value.len());
        if found > self.max_head_bytes {
            return Err(Refusal::HeadTooLarge { limit: self.max_head_bytes });
        }
        Ok(())
    }
}

/// The request id, which the host may have added.
const OWN_HEADERS: usize = 1;

impl<S> Service<Request<Body>> for Refuse<S>
where
    S: Service<Request<Body>, Response = Placed<Answer>, Error = Placed<Error>>,
{
    type Response = Placed<Answer>;
    type Error = Placed<Error>;
    type Future = Either<futures_util::future::Ready<Result<Placed<Answer>, Placed<Error>>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Placed<Error>>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.check(&request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(refusal) => Either::Left(ready(Err(Error::from(refusal).into()))),
        }
    }
}
