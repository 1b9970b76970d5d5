//! An outcome together with the route that it belongs to, for those who answer it and count it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use fezz_runtime::ffi::Reply;
use http::HeaderValue;

use crate::function::Function;
use crate::http::error::Error;
use crate::http::respond::Answer;

/// A function, and one of its routes if one matched.
#[derive(Clone, Debug)]
pub(crate) struct RouteMatch {
    pub(crate) function: Arc<Function>,
    /// Index in the function's table.
    pub(crate) route: Option<usize>,
    /// The origin of the page that asks, where the function has rules for it.
    pub(crate) origin: Option<Box<HeaderValue>>,
}

/// An answer or an error, with its route if routing has found one.
#[derive(Debug)]
pub(crate) struct WithRoute<T> {
    pub(crate) matched: Option<RouteMatch>,
    pub(crate) value: T,
}

impl<T> WithRoute<T> {
    /// The function's `id@version`.
    pub(crate) fn function_name(&self) -> Option<&str> {
        self.matched.as_ref().map(|matched| matched.function.name())
    }
}

impl<E: Into<Error>> From<E> for WithRoute<Error> {
    fn from(error: E) -> Self {
        Self { matched: None, value: error.into() }
    }
}

/// Adds the route to the outcome of the stages below, which do not need to know it.
#[derive(Debug)]
pub(crate) struct WithRouteFuture<F> {
    pub(super) matched: Option<RouteMatch>,
    pub(super) inner: F,
}

impl<F: Future<Output = Result<Reply<Body>, Error>> + Unpin> Future for WithRouteFuture<F> {
    type Output = Result<WithRoute<Answer>, WithRoute<Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.inner).poll(cx));
        let matched = self.matched.take();
        Poll::Ready(match outcome {
            Ok(reply) => Ok(WithRoute { matched, value: Answer::Reply(reply) }),
            Err(value) => Err(WithRoute { matched, value }),
        })
    }
}
