//! The handler: makes the call, with everything that it needs found.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use fezz_runtime::ffi::Reply;
use tower::Service;

use super::error::Error;
use super::resolve::Resolved;
use crate::call::{Caller, Calling};

/// The innermost service of the stack.
#[derive(Clone, Debug)]
pub(super) struct Handler(pub(super) Caller);

impl Service<Resolved> for Handler {
    type Response = Reply<Body>;
    type Error = Error;
    type Future = Handling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// A plain `fn` runs in `spawn_blocking`, an `async fn` is polled in place, an isolated function runs in a worker.
    fn call(&mut self, Resolved { request, body, loaded }: Resolved) -> Handling {
        Handling(self.0.call(request, body, loaded))
    }
}

/// A call on its way, with its error as one of the stack's.
pub(super) struct Handling(Calling);

impl Future for Handling {
    type Output = Result<Reply<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(Error::from)
    }
}
