//! Refuse: requests that no stage shall see, because their connection or their head is at fault.

use std::task::{Context, Poll};

use futures_util::future::{Either, ready};
use http::Version;
use http::request::Parts;
use tower::{Layer, Service};

use crate::arrive::Arrived;
use crate::error::{Error, Refusal};
use crate::respond::Answer;
use crate::route::Placed;

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
    fn check(&self, request: &Arrived) -> Result<(), Refusal> {
        if let Some(violation) = request.head.peer.rejection(&request.head.parts.method) {
            return Err(Refusal::Connection(violation));
        }
        // The guard has counted for HTTP/1.
        if request.head.parts.version == Version::HTTP_2 {
            self.limits.check_size(&request.head.parts)
        } else {
            Ok(())
        }
    }
}

impl RefuseLayer {
    fn check_size(self, head: &Parts) -> Result<(), Refusal> {
        let found = head.headers.len();
        if found > self.max_headers {
            return Err(Refusal::TooManyHeaders { found, limit: self.max_headers });
        }
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let headers = head.headers.iter();
        let found = headers.fold(target, |sum, (name, value)| sum + name.as_str().len() + value.len());
        if found > self.max_head_bytes {
            return Err(Refusal::HeadTooLarge { limit: self.max_head_bytes });
        }
        Ok(())
    }
}

impl<S> Service<Arrived> for Refuse<S>
where
    S: Service<Arrived, Response = Placed<Answer>, Error = Placed<Error>>,
{
    type Response = Placed<Answer>;
    type Error = Placed<Error>;
    type Future = Either<futures_util::future::Ready<Result<Placed<Answer>, Placed<Error>>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Placed<Error>>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Arrived) -> Self::Future {
        match self.check(&request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(refusal) => Either::Left(ready(Err(Error::from(refusal).into()))),
        }
    }
}
