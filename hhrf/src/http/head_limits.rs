//! Head limits: refuses what the guard found at fault, and heads that are too large in HTTP/2 as the guard does in HTTP/1;
//! the others are [normalised](super::normalise).

use std::task::{Context, Poll};

use fezz_guard::Violation;
use futures_util::future::{Either, Ready, ready};
use http::Version;
use http::request::Parts;
use tower::{Layer, Service};

use super::error::Error;
use super::normalise::normalise;
use super::request::Received;
use super::respond::Answer;
use super::route::WithRoute;

/// Why a request is refused before any stage reads it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("{}", .0.message())]
    Violation(Violation),
    #[error("the request has {found} headers, at most {limit} are taken")]
    TooManyHeaders { found: usize, limit: usize },
    #[error("the request's target and headers are longer than the {limit} bytes that are taken")]
    TooLarge { limit: usize },
    #[error(
        "the request does not say clearly which host it is for; send it in :authority or in one Host header"
    )]
    AmbiguousHost,
}

/// Puts the check before a stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimitsLayer {
    /// The most header lines.
    pub(crate) max_headers: usize,
    /// The longest target and headers together, in bytes.
    pub(crate) max_head_bytes: usize,
}

impl<S> Layer<S> for HeadLimitsLayer {
    type Service = HeadLimits<S>;

    fn layer(&self, inner: S) -> HeadLimits<S> {
        HeadLimits { limits: *self, inner }
    }
}

/// The service of [`HeadLimitsLayer`].
#[derive(Clone, Debug)]
pub(crate) struct HeadLimits<S> {
    limits: HeadLimitsLayer,
    inner: S,
}

impl<S> HeadLimits<S> {
    fn check(&self, request: &mut Received) -> Result<(), HeadError> {
        if let Some(violation) = request.peer.rejection(&request.head.parts.method) {
            return Err(HeadError::Violation(violation));
        }
        // The guard has counted for HTTP/1.
        if request.head.parts.version == Version::HTTP_2 {
            self.limits.check_size(&request.head.parts)?;
        }
        normalise(&mut request.head.parts)
    }
}

impl HeadLimitsLayer {
    fn check_size(self, head: &Parts) -> Result<(), HeadError> {
        let found = head.headers.len();
        if found > self.max_headers {
            return Err(HeadError::TooManyHeaders { found, limit: self.max_headers });
        }
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let headers = head.headers.iter();
        let found = headers.fold(target, |sum, (name, value)| sum + name.as_str().len() + value.len());
        if found > self.max_head_bytes {
            return Err(HeadError::TooLarge { limit: self.max_head_bytes });
        }
        Ok(())
    }
}

impl<S> Service<Received> for HeadLimits<S>
where
    S: Service<Received, Response = WithRoute<Answer>, Error = WithRoute<Error>>,
{
    type Response = WithRoute<Answer>;
    type Error = WithRoute<Error>;
    type Future = Either<Ready<Result<WithRoute<Answer>, WithRoute<Error>>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WithRoute<Error>>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Received) -> Self::Future {
        match self.check(&mut request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(error) => Either::Left(ready(Err(Error::from(error).into()))),
        }
    }
}
