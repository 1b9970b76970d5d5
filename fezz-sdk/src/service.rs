//! Functions that return a tower service, such as a router: made once, when the function is loaded, and called for each
//! request.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body::Body as HttpBody;
use tokio::sync::OnceCell;
use tower_service::Service;

use crate::body::BoxError;
use crate::handler::Function;
use crate::hooks::SetUpError;
use crate::{Body, Context, FezzError, FezzHttpRequest, FezzHttpResponse, InitOutcome, IntoFezzResponse};

/// Marks a plain `fn` that returns a service.
#[derive(Debug)]
pub enum Made {}
/// Marks an `async fn` that returns a service.
#[derive(Debug)]
pub enum AsyncMade {}
/// Marks a plain `fn` that returns a service or an error.
#[derive(Debug)]
pub enum TryMade {}
/// Marks an `async fn` that returns a service or an error.
#[derive(Debug)]
pub enum AsyncTryMade {}

/// What a function may return: a service, or a service that makes one for each client, such as
/// `Router::into_make_service_with_connect_info::<SocketAddr>()`.
pub trait ClientService<K>: Clone + Send + 'static {
    /// The service that takes requests.
    type Service: Service<
            http::Request<Body>,
            Response = http::Response<Self::Body>,
            Error: Into<BoxError>,
            Future: Send,
        > + Send;
    /// The body of its responses.
    type Body: HttpBody<Data: Into<bytes::Bytes>, Error: Into<BoxError>> + Send + 'static;

    /// The service for the client of this request.
    fn of_client(
        self,
        request: &FezzHttpRequest,
    ) -> impl Future<Output = Result<Self::Service, FezzError>> + Send + use<Self, K>;
}

/// Marks a service that is the same for all clients.
#[derive(Debug)]
pub enum OfAll {}
/// Marks a service that makes one for each client's address.
#[derive(Debug)]
pub enum OfEach {}

impl<S, B> ClientService<OfAll> for S
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: HttpBody<Data: Into<bytes::Bytes>, Error: Into<BoxError>> + Send + 'static,
{
    type Service = S;
    type Body = B;

    fn of_client(self, _: &FezzHttpRequest) -> impl Future<Output = Result<S, FezzError>> + Send + use<S, B> {
        ready(Ok(self))
    }
}

/// axum's own make-services take an address as they take a connection of a listener.
impl<M, S, B> ClientService<OfEach> for M
where
    M: Service<SocketAddr, Response = S, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    S: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>, Future: Send> + Send,
    B: HttpBody<Data: Into<bytes::Bytes>, Error: Into<BoxError>> + Send + 'static,
{
    type Service = S;
    type Body = B;

    fn of_client(
        mut self,
        request: &FezzHttpRequest,
    ) -> impl Future<Output = Result<S, FezzError>> + Send + use<M, S, B> {
        let client = request.client_addr();
        async move {
            let client =
                client.ok_or_else(|| FezzError::internal("the host did not say who the client is"))?;
            let boxed = |error: M::Error| FezzError::from_boxed(error.into());
            poll_fn(|cx| self.poll_ready(cx)).await.map_err(boxed)?;
            self.call(client).await.map_err(boxed)
        }
    }
}

macro_rules! makers {
    ($([$marker:ident $($error:ident $kind:ident)?] [$($future:ident)?] [$($bound:tt)*] $make:expr;)*) => {$(
        impl<F, S, K, $($future,)? $($error, $kind,)?> Function<($marker, S, K, $($error, $kind)?)> for F
        where
            $($bound)*
            S: ClientService<K>,
            K: 'static,
            $($error: SetUpError<$kind> + 'static, $kind: 'static,)?
        {
            const BLOCKING: bool = false;
            const MAY_STREAM: bool = true;

            async fn prepare(self) -> InitOutcome {
                let made = once::<S, _>(TypeId::of::<F>(), $make(self)).await;
                made.map(drop).map_err(|error| format!("the service cannot be made: {error}"))
            }

            async fn call(self, request: FezzHttpRequest) -> FezzHttpResponse {
                let service = match once::<S, _>(TypeId::of::<F>(), $make(self)).await {
                    Ok(service) => service,
                    Err(error) => return error.into_fezz_response(),
                };
                let service = match service.of_client(&request).await {
                    Ok(service) => service,
                    Err(error) => return error.into_fezz_response(),
                };
                #[cfg(feature = "axum")]
                if let Some(upgrade) = request.upgrade() {
                    return Box::pin(serve_upgrade(service, request, upgrade)).await;
                }
                match serve(service, request).await {
                    Ok(response) => response.map(Body::new).into_fezz_response(),
                    Err(error) => FezzError::from_boxed(error).into_fezz_response(),
                }
            }
        }
    )*};
}

makers! {
    [Made] [] [F: Fn() -> S + Send + Sync + 'static,] |make: F| async move { Ok(make()) };
    [AsyncMade] [Fut]
        [F: Fn() -> Fut + Send + Sync + 'static, Fut: Future<Output = S> + Send + 'static,]
        |make: F| async move { Ok(make().await) };
    [TryMade E M] []
        [F: Fn() -> Result<S, E> + Send + Sync + 'static,]
        |make: F| async move { make().map_err(SetUpError::into_fezz_error) };
    [AsyncTryMade E M] [Fut]
        [F: Fn() -> Fut + Send + Sync + 'static, Fut: Future<Output = Result<S, E>> + Send + 'static,]
        |make: F| async move { make().await.map_err(SetUpError::into_fezz_error) };
}

async fn serve<S, B>(mut service: S, request: FezzHttpRequest) -> Result<http::Response<B>, BoxError>
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>>,
{
    let request = into_http(request)?;
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    service.call(request).await.map_err(Into::into)
}

/// As [`serve`], of a request that may upgrade its connection.
#[cfg(feature = "axum")]
async fn serve_upgrade<S, B>(
    service: S,
    request: FezzHttpRequest,
    upgrade: crate::Upgrade,
) -> FezzHttpResponse
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>>,
    B: HttpBody<Data: Into<bytes::Bytes>, Error: Into<BoxError>> + Send + 'static,
{
    let call = async {
        let signal = Arc::<crate::upgrade::Signal>::default();
        let context = Context::of(&request).with_signal(Arc::clone(&signal));
        let mut request = into_http(request)?;
        request.extensions_mut().insert(context);
        upgrade.restore(request.headers_mut());
        crate::upgrade::mint::call(service, request, upgrade, signal).await
    };
    match call.await {
        Ok(response) => response.into_fezz_response(),
        Err(error) => FezzError::from_boxed(error).into_fezz_response(),
    }
}

/// The request as an [`http::Request`]: its path is without the function's prefix, and a [`Context`] is an extension.
fn into_http(request: FezzHttpRequest) -> Result<http::Request<Body>, BoxError> {
    let mut converted = http::Request::new(Body::empty());
    *converted.method_mut() = request.method().clone();
    *converted.uri_mut() = request.uri()?;
    *converted.version_mut() = request.version();
    converted.extensions_mut().insert(Context::of(&request));
    *converted.body_mut() = request.to_body();
    *converted.headers_mut() = request.into_headers();
    Ok(converted)
}

/// The service of a function, once it is made. Services need not be `Sync`, hence the lock.
type Cell = OnceCell<Mutex<Box<dyn Any + Send>>>;

/// The service of this function. The load makes it, or else the first call while others wait; if that fails, panics or is
/// dropped, the next one tries again. Like all statics it outlives an eviction.
async fn once<S, M>(function: TypeId, make: M) -> Result<S, FezzError>
where
    S: Clone + Send + 'static,
    M: Future<Output = Result<S, FezzError>>,
{
    let cell = cell(function);
    let boxed = async || Ok::<_, FezzError>(Mutex::new(Box::new(make.await?) as Box<dyn Any + Send>));
    let service = lock(cell.get_or_try_init(boxed).await?);
    Ok(service.downcast_ref::<S>().expect("a function makes services of one type").clone())
}

fn cell(function: TypeId) -> Arc<Cell> {
    static CELLS: Mutex<BTreeMap<TypeId, Arc<Cell>>> = Mutex::new(BTreeMap::new());

    Arc::clone(lock(&CELLS).entry(function).or_default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
