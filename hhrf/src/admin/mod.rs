//! The admin listener: health, functions and figures for operators. Nothing here changes anything.
//!
//! It is for this machine: requests that a browser was tricked into sending (a foreign `Origin`, or a `Host` that was
//! made to point here, as in DNS rebinding) are turned away with 421.

mod functions;
mod host_check;
mod metrics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::catalog::Registry;
use crate::http::Peer;
use crate::load::Cache;
pub(crate) use metrics::MetricsExporter;

/// Whether traffic should be sent here: after the first scan, and before the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What the listener shows.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) readiness: Readiness,
    pub(crate) registry: Arc<Registry>,
    pub(crate) cache: Cache,
    pub(crate) exporter: MetricsExporter,
}

/// The listener's application; `address` is where it listens.
pub(crate) fn admin(admin: Admin, address: SocketAddr) -> Router {
    Router::new()
        .route("/livez", get(async || text(StatusCode::OK, "alive\n")))
        .route("/readyz", get(readyz))
        .route("/functions", get(functions))
        .route("/metrics", get(metrics))
        .with_state(admin)
        .layer(middleware::from_fn_with_state(address, check))
        .layer(SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(CatchPanicLayer::new()) // above all that may panic
}

async fn check(State(address): State<SocketAddr>, request: Request, next: Next) -> Response<Body> {
    let peer = request.extensions().get::<Arc<Peer>>();
    if peer.is_some_and(|peer| peer.rejection(request.method()).is_some()) {
        return text(StatusCode::BAD_REQUEST, "the request cannot be read\n");
    }
    if host_check::is_foreign(&request, address) {
        let hint = "this is the admin listener; ask it by localhost or by the address that it listens on\n";
        return text(StatusCode::MISDIRECTED_REQUEST, hint);
    }
    next.run(request).await
}

async fn readyz(State(admin): State<Admin>) -> Response<Body> {
    if admin.readiness.get() {
        text(StatusCode::OK, "ready\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn functions(State(admin): State<Admin>) -> Response<Body> {
    let functions = functions::list(&admin.registry, &admin.cache);
    serde_json::to_vec_pretty(&functions)
        .map_or_else(|error| failed(&error), |json| answer(StatusCode::OK, "application/json", json))
}

async fn metrics(State(admin): State<Admin>) -> Response<Body> {
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    admin.exporter.text().map_or_else(|error| failed(&error), |text| answer(StatusCode::OK, KIND, text))
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", text)
}

fn failed(error: &dyn std::error::Error) -> Response<Body> {
    tracing::error!("the admin listener cannot answer: {error}");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the host failed; the log has the cause\n")
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
