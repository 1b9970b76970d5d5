//! [`Function`]: the functions that `#[fezz_function]` can serve.
//!
//! The signature decides. `M` is an inferred marker that keeps the blanket implementations apart.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::extract::FromRequest;
use crate::{FezzError, FezzHttpRequest, FezzHttpResponse, InitOutcome, IntoFezzResponse};

/// A plain or `async fn` whose arguments are [`FromRequest`] and whose result is [`IntoFezzResponse`]; or one without
/// arguments that returns a [tower](https://docs.rs/tower) service, such as `axum::Router`, or a `Result` of one. A service
/// that makes one for each client is taken too: `Router::into_make_service_with_connect_info::<SocketAddr>()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served as a fezz function",
    label = "its arguments must be `FromRequest`, its answer `IntoFezzResponse` or a tower service, its future `Send`",
    note = "write `fn my_function(req: FezzHttpRequest) -> FezzHttpResponse`, or an `async fn` of that kind",
    note = "an application is served if it is a router of axum 0.8 or 0.7, or another service of tower-service 0.3 and http 1; \
            one of axum 0.6 or older has http 0.2: move it to axum 0.8"
)]
pub trait Function<M>: Send + Sync + 'static {
    /// Whether a call may block its thread.
    const BLOCKING: bool;

    /// Whether long request bodies come as streams without being asked for.
    const MAY_STREAM: bool = false;

    /// What the function needs before its first call, such as its service. Runs after each load, within `fezz_init`;
    /// an error fails the load.
    fn prepare(self) -> impl Future<Output = InitOutcome> + Send + 'static
    where
        Self: Sized,
    {
        ready(Ok(()))
    }

    /// Makes one call. For a blocking function the call is done when this returns, and the future is ready.
    fn call(self, request: FezzHttpRequest) -> impl Future<Output = FezzHttpResponse> + Send + 'static;
}

/// Marks a plain `fn`.
#[derive(Debug)]
pub enum Plain {}
/// Marks an `async fn`.
#[derive(Debug)]
pub enum Async {}

macro_rules! functions {
    ($([$($argument:ident),*] $last:ident;)*) => {$(
        impl<F, R, $($argument,)* $last> Function<(Plain, $($argument,)* $last)> for F
        where
            F: Fn($($argument,)* $last) -> R + Send + Sync + 'static,
            R: IntoFezzResponse,
            $($argument: FromRequest,)*
            $last: FromRequest,
        {
            const BLOCKING: bool = true;

            fn call(self, request: FezzHttpRequest) -> impl Future<Output = FezzHttpResponse> + Send + 'static {
                let answer = || -> Result<R, FezzError> {
                    Ok(self($($argument::from_request(&request)?,)* $last::from_owned_request(request)?))
                };
                done(answer())
            }
        }

        impl<F, Fut, R, $($argument,)* $last> Function<(Async, $($argument,)* $last)> for F
        where
            F: Fn($($argument,)* $last) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: IntoFezzResponse,
            $($argument: FromRequest,)*
            $last: FromRequest,
        {
            const BLOCKING: bool = false;

            fn call(self, request: FezzHttpRequest) -> impl Future<Output = FezzHttpResponse> + Send + 'static {
                let start = || -> Result<Fut, FezzError> {
                    Ok(self($($argument::from_request(&request)?,)* $last::from_owned_request(request)?))
                };
                answer(start())
            }
        }
    )*};
}

functions! {
    [] A;
    [A] B;
    [A, B] C;
    [A, B, C] D;
    [A, B, C, D] E;
    [A, B, C, D, E] G;
    [A, B, C, D, E, G] H;
    [A, B, C, D, E, G, H] I;
}

impl<F, R> Function<(Plain,)> for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: IntoFezzResponse,
{
    const BLOCKING: bool = true;

    fn call(self, _: FezzHttpRequest) -> impl Future<Output = FezzHttpResponse> + Send + 'static {
        ready(self().into_fezz_response())
    }
}

impl<F, Fut, R> Function<(Async,)> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: IntoFezzResponse,
{
    const BLOCKING: bool = false;

    fn call(self, _: FezzHttpRequest) -> impl Future<Output = FezzHttpResponse> + Send + 'static {
        answer(Ok(self()))
    }
}

fn done<R: IntoFezzResponse>(answer: Result<R, FezzError>) -> Ready<FezzHttpResponse> {
    ready(answer.into_fezz_response())
}

fn answer<F>(started: Result<F, FezzError>) -> Answer<F> {
    match started {
        Ok(future) => Answer::Running { future },
        Err(rejection) => Answer::Rejected { rejection: Some(rejection) },
    }
}

pin_project! {
    /// The answer of an `async fn`. An `async` block instead would hold the author's future twice.
    #[project = AnswerParts]
    enum Answer<F> {
        Running { #[pin] future: F },
        /// An argument was not to be had from the request; taken by the only poll.
        Rejected { rejection: Option<FezzError> },
    }
}

impl<F: Future<Output: IntoFezzResponse>> Future for Answer<F> {
    type Output = FezzHttpResponse;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<FezzHttpResponse> {
        match self.project() {
            AnswerParts::Running { future } => future.poll(cx).map(IntoFezzResponse::into_fezz_response),
            AnswerParts::Rejected { rejection } => match rejection.take() {
                Some(rejection) => Poll::Ready(rejection.into_fezz_response()),
                None => Poll::Pending,
            },
        }
    }
}
