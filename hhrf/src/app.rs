//! The whole stack, top to bottom.

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use tower::{Service, ServiceBuilder};

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::invoke::{Invoke, Runners};
use crate::metrics::RouteStats;
use crate::observe::ObserveLayer;
use crate::refuse::RefuseLayer;
use crate::request_id::RequestIdLayer;
use crate::resolve::{Cache, ResolveLayer};
use crate::respond::RespondLayer;
use crate::route::RouteLayer;

/// What the listener serves, and each connection clones.
pub(crate) fn app(
    settings: &Settings,
    catalog: Arc<ArcSwap<Catalog>>,
    cache: Cache,
    runners: Runners,
    elsewhere: Arc<RouteStats>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let respond = RespondLayer { expose_panics: settings.expose_panics, elsewhere };
    let refuse = RefuseLayer { max_headers: settings.max_headers, max_head_bytes: settings.max_head_bytes };

    let sticky = Arc::new(settings.sticky.clone());
    let functions = ServiceBuilder::new()
        .layer(RequestIdLayer::default()) // an id that cannot be logged as it is makes place for a new one
        .layer(ObserveLayer) // sees the id, and every answer
        .layer(respond) // makes an answer of every error below, so it stands above all of them
        .layer(refuse) // before anything looks at the request
        .layer(RouteLayer { catalog, sticky }) // Request<Body> becomes Routed
        .layer(ResolveLayer(cache)) // Routed becomes Resolved
        .service(Invoke { runners, body_timeout: settings.body_timeout, slow_poll: settings.slow_poll });

    // What is no function's is for Route to refuse: it says why.
    Router::new()
        .route_service("/rpc/{fn}", functions.clone())
        .route_service("/rpc/{fn}/", functions.clone())
        .route_service("/rpc/{fn}/{*path}", functions.clone())
        .fallback_service(functions)
}
