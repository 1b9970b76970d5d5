//! The whole stack, top to bottom.

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use tower::{BoxError, Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;

use super::handler::Handler;
use super::head_limits::HeadLimitsLayer;
use super::peer::Peer;
use super::request::RequestIds;
use super::resolve::ResolveLayer;
use super::respond::{RespondLayer, panicked};
use super::route::{RouteLayer, Sticky};
use super::trace::TraceLayer;
use crate::call::Caller;
use crate::catalog::Catalog;
use crate::function::RouteStats;
use crate::load::Cache;

/// How requests are answered.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Whether a panic's message reaches the client.
    pub(crate) expose_panics: bool,
    /// The limits of a request's head.
    pub(crate) head_limits: HeadLimitsLayer,
    /// What keeps a client on one version behind an alias.
    pub(crate) sticky: Sticky,
}

/// What the stack works on.
pub(crate) struct Functions {
    pub(crate) catalog: Arc<ArcSwap<Catalog>>,
    pub(crate) cache: Cache,
    pub(crate) caller: Caller,
    /// Counts answers to requests for no function's route.
    pub(crate) unmatched: Arc<RouteStats>,
}

/// The application.
#[derive(Clone, Debug)]
pub(crate) struct App {
    router: Router,
    ids: Arc<RequestIds>,
}

/// Builds the application over these functions.
pub(crate) fn app(options: &Options, functions: Functions) -> App {
    let Functions { catalog, cache, caller, unmatched } = functions;
    let stack = ServiceBuilder::new()
        .layer(RespondLayer::new(options.expose_panics, unmatched)) // turns every error below into a response
        .layer(options.head_limits) // before anything reads the request
        .layer(RouteLayer::new(catalog, &options.sticky)) // which function, which of its routes; loads nothing
        .layer(ResolveLayer(cache)) // the loaded function: from the cache, or else from its library
        .service(Handler(caller)); // makes the call
    let router = Router::new()
        .route_service("/rpc/{function}", stack.clone())
        .route_service("/rpc/{function}/", stack.clone())
        .route_service("/rpc/{function}/{*path}", stack.clone())
        .fallback_service(stack); // a function's mount, nothing, or a request that the guard has refused
    App { router, ids: Arc::default() }
}

impl App {
    /// The service of one connection. Layers of tower-http can be added here.
    pub(crate) fn of_connection(
        &self,
        peer: Arc<Peer>,
    ) -> impl Service<
        Request<Body>,
        Response = Response<impl http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + use<>>,
        Error = Infallible,
        Future: Send,
    > + Send
    + use<> {
        ServiceBuilder::new()
            .layer(TraceLayer::new(peer, Arc::clone(&self.ids))) // outermost: every answer has the request's id
            .layer(CatchPanicLayer::custom(panicked)) // a panic below is a 500
            .service(self.router.clone())
    }
}
