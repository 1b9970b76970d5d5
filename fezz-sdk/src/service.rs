//! Functions that make a service: whole routers, made once and called for each request.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};

use http_body::Body as HttpBody;
use tower_service::Service;

use crate::body::BoxError;
use crate::handler::Function;
use crate::{Body, Context, FezzError, FezzHttpRequest, FezzHttpResponse, IntoFezzResponse};

/// Marks a plain `fn` that makes a service.
#[derive(Debug)]
pub enum Made {}
/// Marks an `async fn` that makes a service.
#[derive(Debug)]
pub enum AsyncMade {}

macro_rules! makers {
    ($($marker:ident [$($bound:tt)*] [$($future:tt)*] $make:expr;)*) => {$(
        impl<F, S, B, $($future)*> Function<($marker, S, B)> for F
        where
            $($bound)*
            S: Service<
                    http::Request<Body>,
                    Response = http::Response<B>,
                    Error: Into<BoxError>,
                    Future: Send,
                > + Clone
                + Send
                + 'static,
            B: HttpBody<Data: Into<bytes::Bytes>, Error: Into<BoxError>> + Send + 'static,
        {
            const BLOCKING: bool = false;

            async fn call(self, request: FezzHttpRequest) -> FezzHttpResponse {
                let service = once::<S, _>(TypeId::of::<F>(), $make(self)).await;
                match serve(service, request).await {
                    Ok(response) => response.map(Body::new).into_fezz_response(),
                    Err(error) => FezzError::from_boxed(error).into_fezz_response(),
                }
            }
        }
    )*};
}

makers! {
    Made [F: Fn() -> S + Send + Sync + 'static,] [] |make: F| async move { make() };
    AsyncMade
        [F: Fn() -> Fut + Send + Sync + 'static, Fut: Future<Output = S> + Send + 'static,]
        [Fut]
        |make: F| async move { make().await };
}

async fn serve<S, B>(mut service: S, request: FezzHttpRequest) -> Result<http::Response<B>, BoxError>
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>>,
{
    let request = into_http(request)?;
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
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

/// One service, from nothing to made.
#[derive(Default)]
enum Slot {
    /// Nobody makes it. Goes to `Making`.
    #[default]
    Empty,
    /// A call makes it, and these wait. Goes to `Made`, or to `Empty` where that call panicked or was dropped.
    Making(Vec<Waker>),
    /// Final: it is cloned for each call, and outlives an eviction, as all statics do.
    Made(Box<dyn Any + Send>),
}

type Shared = Arc<Mutex<Slot>>;

/// The service of this function, which `make` makes for the first call; other calls wait for it meanwhile.
async fn once<S: Clone + Send + 'static, M: Future<Output = S>>(function: TypeId, make: M) -> S {
    let slot = slot(function);
    if let Some(service) = poll_fn(|cx| poll_made(&slot, cx)).await {
        return service;
    }
    let unfinished = Unfinished(&slot);
    let service = make.await;
    let made = Slot::Made(Box::new(service.clone()));
    wake(std::mem::replace(&mut *lock(&slot), made));
    drop(unfinished);
    service
}

/// Ready with the service, or with nothing where it is now for the caller to make it.
fn poll_made<S: Clone + 'static>(slot: &Shared, cx: &TaskContext<'_>) -> Poll<Option<S>> {
    let mut slot = lock(slot);
    match &mut *slot {
        Slot::Made(service) => Poll::Ready(service.downcast_ref::<S>().cloned()),
        Slot::Making(waiting) => {
            waiting.push(cx.waker().clone());
            Poll::Pending
        }
        Slot::Empty => {
            *slot = Slot::Making(Vec::new());
            Poll::Ready(None)
        }
    }
}

/// Lets another call try, where the one that made it did not come to the end.
struct Unfinished<'a>(&'a Shared);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut slot = lock(self.0);
        if matches!(*slot, Slot::Making(_)) {
            wake(std::mem::take(&mut *slot));
        }
    }
}

fn wake(slot: Slot) {
    if let Slot::Making(waiting) = slot {
        waiting.into_iter().for_each(Waker::wake);
    }
}

fn slot(function: TypeId) -> Shared {
    static SLOTS: Mutex<Option<HashMap<TypeId, Shared>>> = Mutex::new(None);

    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(slots.get_or_insert_default().entry(function).or_default())
}

fn lock(slot: &Shared) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
