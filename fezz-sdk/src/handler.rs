//! [`Function`]: what `#[fezz_function]` can serve.
//!
//! The signature decides. `M` only tells the ways of writing one apart, and is inferred.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::{Future, Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};

use http_body::Body as HttpBody;
use tower_service::Service;

use crate::body::BoxError;
use crate::extract::FromRequest;
use crate::{Body, Context, FezzError, FezzHttpRequest, FezzHttpResponse, IntoFezzResponse};

/// A function of arguments that are [`FromRequest`] with an answer that is [`IntoFezzResponse`], an `async fn` of that
/// kind, or a function without arguments that makes a [tower](https://docs.rs/tower) service, such as `axum::Router`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served as a fezz function",
    label = "its arguments must be `FromRequest`, its answer `IntoFezzResponse` or a tower service, its future `Send`",
    note = "write `fn my_function(req: FezzHttpRequest) -> FezzHttpResponse`, or an `async fn` of that kind"
)]
pub trait Function<M>: Send + Sync + 'static {
    /// Whether a call may block its thread.
    const BLOCKING: bool;

    /// One call. A function that blocks has done all of it when this returns, and the future is ready.
    fn call(self, request: FezzHttpRequest) -> impl Future<Output = FezzHttpResponse> + Send + 'static;
}

/// Marks a plain `fn`.
#[derive(Debug)]
pub enum Plain {}
/// Marks an `async fn`.
#[derive(Debug)]
pub enum Async {}
/// Marks a function that makes a service.
#[derive(Debug)]
pub enum Made {}

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

async fn answer<F>(started: Result<F, FezzError>) -> FezzHttpResponse
where
    F: Future<Output: IntoFezzResponse>,
{
    match started {
        Ok(running) => running.await.into_fezz_response(),
        Err(refusal) => refusal.into_fezz_response(),
    }
}

impl<F, S, B> Function<(Made, S, B)> for F
where
    F: Fn() -> S + Send + Sync + 'static,
    S: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: HttpBody<Data: Into<bytes::Bytes>, Error: Into<BoxError>> + Send + 'static,
{
    const BLOCKING: bool = false;

    fn call(self, request: FezzHttpRequest) -> impl Future<Output = FezzHttpResponse> + Send + 'static {
        let service = made(self);
        async move {
            match serve(service, request).await {
                Ok(response) => response.map(Body::new).into_fezz_response(),
                Err(error) => FezzError::from_boxed(error).into_fezz_response(),
            }
        }
    }
}

async fn serve<S, B>(mut service: S, request: FezzHttpRequest) -> Result<http::Response<B>, BoxError>
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>>,
{
    let request = into_http(request)?;
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    service.call(request).await.map_err(Into::into)
}

/// The request as the `http` crate has it, its path without the function's prefix, and with a [`Context`] as an
/// extension.
fn into_http(request: FezzHttpRequest) -> Result<http::Request<Body>, BoxError> {
    let (path, query) = (request.path(), request.query_string());
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut wanted = http::Request::new(Body::empty());
    *wanted.method_mut() = request.method().clone();
    *wanted.uri_mut() = target.parse()?;
    wanted.extensions_mut().insert(Context::of(&request));
    *wanted.body_mut() = request.to_body();
    *wanted.headers_mut() = request.into_headers();
    Ok(wanted)
}

/// The service that `make` makes, made once for each `make` and cloned for each call. It outlives an eviction, as all
/// statics do.
fn made<F, S>(make: F) -> S
where
    F: Fn() -> S + 'static,
    S: Clone + Send + 'static,
{
    type Slot = Arc<Mutex<Option<Box<dyn Any + Send>>>>;
    static MADE: Mutex<Option<HashMap<TypeId, Slot>>> = Mutex::new(None);

    let slot = {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.get_or_insert_default().entry(TypeId::of::<F>()).or_default())
    };
    // A panic of `make` leaves the slot empty, and the next call tries again.
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(service) = slot.as_ref().and_then(|service| service.downcast_ref::<S>()) {
        return service.clone();
    }
    let service = make();
    *slot = Some(Box::new(service.clone()));
    service
}
