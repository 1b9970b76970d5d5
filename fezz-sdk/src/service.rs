//! Functions that return a tower service, such as a router: made once, called for each request.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body::Body as HttpBody;
use tokio::sync::OnceCell;
use tower_service::Service;

use crate::body::BoxError;
use crate::handler::Function;
use crate::{Body, Context, FezzError, FezzHttpRequest, FezzHttpResponse, IntoFezzResponse};

/// Marks a plain `fn` that returns a service.
#[derive(Debug)]
pub enum Made {}
/// Marks an `async fn` that returns a service.
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

/// The request as an [`http::Request`]: its path is without the function's prefix, and a [`Context`] is an extension.
fn into_http(request: FezzHttpRequest) -> Result<http::Request<Body>, BoxError> {
    let (path, query) = (request.path(), request.query_string());
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut converted = http::Request::new(Body::empty());
    *converted.method_mut() = request.method().clone();
    *converted.uri_mut() = target.parse()?;
    converted.extensions_mut().insert(Context::of(&request));
    *converted.body_mut() = request.to_body();
    *converted.headers_mut() = request.into_headers();
    Ok(converted)
}

/// The service of a function, once it is made. Services need not be `Sync`, hence the lock.
type Cell = OnceCell<Mutex<Box<dyn Any + Send>>>;

/// The service of this function. The first call makes it while others wait; if that call panics or is dropped, the next
/// one tries again. Like all statics it outlives an eviction.
async fn once<S: Clone + Send + 'static, M: Future<Output = S>>(function: TypeId, make: M) -> S {
    let cell = cell(function);
    let made = cell.get_or_init(async || Mutex::new(Box::new(make.await) as Box<dyn Any + Send>)).await;
    let service = lock(made);
    service.downcast_ref::<S>().expect("a function makes services of one type").clone()
}

fn cell(function: TypeId) -> Arc<Cell> {
    static CELLS: Mutex<BTreeMap<TypeId, Arc<Cell>>> = Mutex::new(BTreeMap::new());

    Arc::clone(lock(&CELLS).entry(function).or_default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
