//! Where a request belongs, for those who answer it and count it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;

use crate::catalog::Function;
use crate::error::Error;
use crate::ffi::Reply;
use crate::respond::Answer;

/// A function, and one of its routes where one matched.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) function: Arc<Function>,
    /// Index in the function's table.
    pub(crate) route: Option<usize>,
}

/// An answer or an error, with its place where routing has found one.
#[derive(Debug)]
pub(crate) struct Placed<T> {
    pub(crate) place: Option<Place>,
    pub(crate) what: T,
}

impl<T> Placed<T> {
    /// The function's `id@version`.
    pub(crate) fn function_name(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.function.name())
    }
}

impl<E: Into<Error>> From<E> for Placed<Error> {
    fn from(error: E) -> Self {
        Self { place: None, what: error.into() }
    }
}

/// Puts the place to what the stages below come to, which do not need to know it.
#[derive(Debug)]
pub(crate) struct PlacedFuture<F> {
    pub(super) place: Option<Place>,
    pub(super) inner: F,
}

impl<F: Future<Output = Result<Reply<Body>, Error>> + Unpin> Future for PlacedFuture<F> {
    type Output = Result<Placed<Answer>, Placed<Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.inner).poll(cx));
        let place = self.place.take();
        Poll::Ready(match outcome {
            Ok(reply) => Ok(Placed { place, what: Answer::Reply(reply) }),
            Err(what) => Err(Placed { place, what }),
        })
    }
}
