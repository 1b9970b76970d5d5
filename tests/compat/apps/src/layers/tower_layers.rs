//! The layers of tower behind `HandleErrorLayer`: timeouts, limits, buffers, load shedding, filters.

use std::time::Duration;

use axum::Router;
use axum::error_handling::{HandleError, HandleErrorLayer};
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use tower::buffer::BufferLayer;
use tower::filter::FilterLayer;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer, RateLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower::{BoxError, ServiceBuilder, service_fn};

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, steps};

async fn failed(method: Method, uri: Uri, error: BoxError) -> (StatusCode, String) {
    if error.is::<tower::timeout::error::Elapsed>() {
        return (StatusCode::REQUEST_TIMEOUT, format!("{method} {uri} took too long"));
    }
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{method} {uri}: {error}"))
}

async fn pause() -> &'static str {
    tokio::time::sleep(Duration::from_secs(5)).await;
    "too late"
}

fn refuse(request: Request) -> Result<Request, BoxError> {
    if request.headers().contains_key("x-refuse") { Err("refused".into()) } else { Ok(request) }
}

pub(crate) fn router(_: &Setup) -> Router {
    let timeout = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(failed))
        .layer(TimeoutLayer::new(Duration::from_millis(50)));
    let queued = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(failed))
        .layer(BufferLayer::new(64))
        .layer(RateLimitLayer::new(10_000, Duration::from_secs(1)));
    let shed = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(failed))
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(8));
    let filtered = ServiceBuilder::new().layer(HandleErrorLayer::new(failed)).layer(FilterLayer::new(refuse));
    let mapped = ServiceBuilder::new()
        .layer(MapRequestLayer::new(|mut request: Request| {
            request.headers_mut().insert("x-added", axum::http::HeaderValue::from_static("1"));
            request
        }))
        .layer(MapResponseLayer::new(|mut response: Response| {
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }));
    let failing = service_fn(|_: Request| async { Err::<Response, BoxError>("the service fails".into()) });
    Router::new()
        .route("/slow", get(pause).layer(timeout.clone()))
        .route("/quick", get(|| async { "quick" }).layer(timeout))
        .route("/queued", get(|| async { "queued" }).layer(queued))
        .route("/shed", get(|| async { "shed" }).layer(shed))
        .route("/filtered", get(|| async { "filtered" }).layer(filtered))
        .route_service(
            "/failing",
            HandleError::new(failing, |error: BoxError| async move {
                (StatusCode::BAD_GATEWAY, error.to_string())
            }),
        )
        .route(
            "/mapped",
            get(|request: Request| async move { format!("{:?}", request.headers().get("x-added")) })
                .layer(mapped),
        )
        .layer(GlobalConcurrencyLimitLayer::new(64))
}

pub(crate) fn script() -> Vec<Step> {
    let paths = ["/slow", "/quick", "/queued", "/shed", "/filtered", "/failing", "/mapped"];
    let mut requests: Vec<_> =
        paths.into_iter().flat_map(|path| [fetch(path), send(path).body("x")]).collect();
    requests.extend((0..5).flat_map(|_| [fetch("/queued"), fetch("/shed")]));
    requests.push(fetch("/filtered").header("x-refuse", "1"));
    steps(requests)
}
