//! The whole stack, top to bottom.

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Body;
use http::Response;
use tower::{Service, ServiceBuilder};

use crate::arrive::Arrived;
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::invoke::{Invoke, Runners};
use crate::metrics::RouteStats;
use crate::observe::ObserveLayer;
use crate::refuse::RefuseLayer;
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
) -> impl Service<Arrived, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let respond = RespondLayer { expose_panics: settings.expose_panics, elsewhere };
    let refuse = RefuseLayer { max_headers: settings.max_headers, max_head_bytes: settings.max_head_bytes };

    let sticky = Arc::new(settings.sticky.clone());
    ServiceBuilder::new()
        .layer(ObserveLayer) // sees every answer
        .layer(respond) // makes an answer of every error below, so it stands above all of them
        .layer(refuse) // before anything looks at the request
        .layer(RouteLayer { catalog, sticky }) // Arrived becomes Routed
        .layer(ResolveLayer(cache)) // Routed becomes Resolved
        .service(Invoke { runners, body_timeout: settings.body_timeout, slow_poll: settings.slow_poll })
}
