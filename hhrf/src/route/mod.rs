//! Route: which function and which of its routes a request is for.
//!
//! Works on the catalog snapshot alone, without I/O; knows neither libraries nor files.

mod path;

pub(crate) use path::check as check_path;

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use axum::body::Body;
use fezz_manifest::{Found, Match};
use futures_util::future::{Either, Ready, ready};
use http::Request;
use http::request::Parts;
use tower::{Layer, Service};

use crate::catalog::{Catalog, Function};
use crate::error::Error;
use crate::ffi::Reply;
use crate::respond::Answer;
use crate::serve::Peer;
use path::Target;

/// Why a request reaches no function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("nothing is served at this path; functions are at /rpc/<id>@<version>/…")]
    Nothing,
    #[error("{0}")]
    BadPath(#[from] path::PathError),
    #[error("there is no function `{0}`")]
    UnknownFunction(String),
    #[error("function {function} has no route for this path")]
    UnknownPath { function: String },
    #[error("function {function} does not take {method} here, but {allow}")]
    MethodNotAllowed { function: String, method: http::Method, allow: String },
    #[error("the path parameter `{name}` is not UTF-8")]
    BadParameter { name: String },
    #[error("the request came without its connection; this is a defect of the host")]
    NoPeer,
}

/// A request whose function and route are known.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) head: Parts,
    pub(crate) body: Body,
    pub(crate) function: Arc<Function>,
    pub(crate) peer: Arc<Peer>,
    /// Where in the URI's path the function's own path begins.
    pub(crate) path_start: usize,
    /// Index of the route in the function's table.
    pub(crate) route: usize,
    pub(crate) params: Vec<(String, String)>,
}

/// Puts routing before a service that needs routed requests.
#[derive(Clone, Debug)]
pub(crate) struct RouteLayer(pub(crate) Arc<ArcSwap<Catalog>>);

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { catalog: Arc::clone(&self.0), inner }
    }
}

/// See [`RouteLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Route<S> {
    catalog: Arc<ArcSwap<Catalog>>,
    inner: S,
}

/// What routing comes to.
enum Routing {
    To(Box<Routed>),
    /// An OPTIONS request that no function wants to answer itself.
    Options {
        allow: String,
    },
}

impl<S> Service<Request<Body>> for Route<S>
where
    S: Service<Routed, Response = Reply, Error = Error>,
{
    type Response = Answer;
    type Error = Error;
    type Future =
        Either<Ready<Result<Answer, Error>>, futures_util::future::MapOk<S::Future, fn(Reply) -> Answer>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        use futures_util::TryFutureExt;
        match route(&self.catalog.load(), request) {
            Ok(Routing::To(routed)) => {
                Either::Right(self.inner.call(*routed).map_ok(Answer::Reply as fn(Reply) -> Answer))
            }
            Ok(Routing::Options { allow }) => Either::Left(ready(Ok(Answer::Options { allow }))),
            Err(error) => Either::Left(ready(Err(Error::Route(error)))),
        }
    }
}

fn route(catalog: &Catalog, request: Request<Body>) -> Result<Routing, RouteError> {
    let (head, body) = request.into_parts();
    let target = Target::parse(head.uri.path())?;
    let function = find(catalog, &target.function)?;
    let peer = head.extensions.get::<Arc<Peer>>().map(Arc::clone).ok_or(RouteError::NoPeer)?;
    let path_start = target.path_start;
    let path = &head.uri.path()[path_start..];
    let found = if matches!(path, "" | "/") {
        function.routes.find_root(&head.method)
    } else {
        function.routes.find(path, &head.method)
    };
    let name = || function.name().to_owned();
    let (route, params) = match found {
        Found::Route(Match { index, params, .. }) => {
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
            (index, params)
        }
        Found::Options { allow } => return Ok(Routing::Options { allow: allow.to_owned() }),
        Found::MethodNotAllowed { allow } => {
            let (method, allow) = (head.method.clone(), allow.to_owned());
            return Err(RouteError::MethodNotAllowed { function: name(), method, allow });
        }
        Found::BadParameter { name } => return Err(RouteError::BadParameter { name: name.to_owned() }),
        Found::NotFound => return Err(RouteError::UnknownPath { function: name() }),
    };
    let function = Arc::clone(function);
    Ok(Routing::To(Box::new(Routed { head, body, function, peer, path_start, route, params })))
}

fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<Function>, RouteError> {
    catalog.find(name).ok_or_else(|| RouteError::UnknownFunction(name.to_owned()))
}
