//! Route: which function and which of its routes a request is for.
//!
//! Works on the catalog snapshot alone, without I/O; knows neither libraries nor files.

mod outcome;
mod path;
mod sticky;

pub(super) use outcome::{RouteMatch, WithRoute};
pub(crate) use sticky::Sticky;

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use axum::body::Body;
use fezz_manifest::{Found, Match};
use fezz_runtime::ffi::Reply;
use futures_util::future::{Either, Ready, ready};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use tower::{Layer, Service};

use super::cors;
use super::error::Error;
use super::request::Received;
use super::respond::Answer;
use crate::call::{CallRequest, Head};
use crate::catalog::Catalog;
use crate::function::Function;
use outcome::WithRouteFuture;
use path::FunctionPath;

/// The part of the path before the function's own.
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Why a request reaches no function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("nothing is served at this path; functions are at /rpc/<id>@<version>/…")]
    Nothing,
    #[error("nothing is served at this address")]
    NotMounted,
    #[error("{0}")]
    BadPath(#[from] path::PathError),
    #[error("there is no function `{0}`")]
    UnknownFunction(String),
    #[error("function {function} has no route for this path")]
    UnknownPath { function: String },
    #[error("function {function} does not take {method} here, but {allow}")]
    MethodNotAllowed { function: String, method: http::Method, allow: String },
    #[error(
        "the route {route} of function {function} takes no upgrade to websocket; if it is to take one, write \"upgrade\": true beside it in fezz.json"
    )]
    NoUpgrade { function: String, route: String },
    #[error("the path parameter `{name}` is not UTF-8")]
    BadParameter { name: String },
}

/// A request whose function and route are known.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) request: CallRequest,
    pub(super) body: Body,
}

/// Puts routing before a service that needs routed requests.
#[derive(Clone, Debug)]
pub(super) struct RouteLayer {
    catalog: Arc<ArcSwap<Catalog>>,
    sticky: Arc<Sticky>,
}

impl RouteLayer {
    pub(super) fn new(catalog: Arc<ArcSwap<Catalog>>, sticky: &Sticky) -> Self {
        Self { catalog, sticky: Arc::new(sticky.clone()) }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { layer: self.clone(), inner }
    }
}

/// The service of [`RouteLayer`].
#[derive(Clone, Debug)]
pub(super) struct Route<S> {
    layer: RouteLayer,
    inner: S,
}

impl<S> Service<Received> for Route<S>
where
    S: Service<Routed, Response = Reply<Body>, Error = Error, Future: Unpin>,
{
    type Response = WithRoute<Answer>;
    type Error = WithRoute<Error>;
    type Future = Either<Ready<Result<WithRoute<Answer>, WithRoute<Error>>>, WithRouteFuture<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WithRoute<Error>>> {
        self.inner.poll_ready(cx).map_err(WithRoute::from)
    }

    fn call(&mut self, request: Received) -> Self::Future {
        let catalog = self.layer.catalog.load();
        match route(&catalog, &self.layer.sticky, request) {
            Ok((routed, origin)) => {
                let CallRequest { function, route, .. } = &routed.request;
                let matched = RouteMatch { function: Arc::clone(function), route: Some(*route), origin };
                Either::Right(WithRouteFuture { matched: Some(matched), inner: self.inner.call(routed) })
            }
            Err(outcome) => Either::Left(ready(*outcome)),
        }
    }
}

/// The origin of the page that asks, where the function has rules for it.
type Origin = Option<Box<HeaderValue>>;

/// What ends here, with an answer or an error.
type Ended = Box<Result<WithRoute<Answer>, WithRoute<Error>>>;

fn route(catalog: &Catalog, sticky: &Sticky, mut received: Received) -> Result<(Routed, Origin), Ended> {
    let nowhere = |error: RouteError| Box::new(Err(WithRoute::from(Error::Route(error))));
    let parts = &mut received.head.parts;
    let path = FunctionPath::parse(parts.uri.path()).map_err(|error| nowhere(error.into()))?;
    let (function, path_start) = match path {
        Some(FunctionPath { function: name, path_start }) => {
            let function = catalog.find(&name, || sticky.value(&parts.headers)).map(Arc::clone);
            let unknown = || nowhere(RouteError::UnknownFunction(name.into_owned()));
            (function.ok_or_else(unknown)?, path_start)
        }
        None => mounted(catalog, sticky, parts).map_err(nowhere)?,
    };
    let origin = function.cors.as_ref().and_then(|_| cors::origin(parts));
    if let Some(policy) = &function.cors
        && cors::is_preflight(parts)
    {
        let value = Answer::Preflight(Box::new(cors::preflight(policy, parts)));
        let matched = Some(RouteMatch { function, route: None, origin });
        return Err(Box::new(Ok(WithRoute { matched, value })));
    }
    match match_route(&function, parts, path_start) {
        Ok((route, params)) => {
            let Received { mut head, body, .. } = received;
            if let Err(error) = check_upgrade(&function, route, &mut head) {
                let matched = Some(RouteMatch { function, route: Some(route), origin });
                return Err(Box::new(Err(WithRoute { matched, value: Error::Route(error) })));
            }
            let request = CallRequest::new(head, function, path_start, route, params);
            Ok((Routed { request, body }, origin))
        }
        Err(outcome) => {
            let matched = Some(RouteMatch { function, route: None, origin });
            Err(Box::new(match *outcome {
                Ok(value) => Ok(WithRoute { matched, value }),
                Err(error) => Err(WithRoute { matched, value: Error::Route(error) }),
            }))
        }
    }
}

/// The function whose mount covers a request, and where its own path begins. The function is told the prefix; what the
/// client says of one is not true here.
fn mounted(
    catalog: &Catalog,
    sticky: &Sticky,
    head: &mut Parts,
) -> Result<(Arc<Function>, usize), RouteError> {
    if !catalog.has_mounts() {
        return Err(RouteError::Nothing);
    }
    let host = head.headers.get(HOST).map(HeaderValue::as_bytes);
    let mount = catalog.mounted(host, head.uri.path()).ok_or(RouteError::NotMounted)?;
    // What it names may have been undeployed since the mounts came into force.
    let function =
        catalog.find(mount.function, || sticky.value(&head.headers)).ok_or(RouteError::NotMounted)?;
    let function = Arc::clone(function);
    match mount.prefix {
        Some(prefix) => _ = head.headers.insert(FORWARDED_PREFIX, prefix.clone()),
        None => _ = head.headers.remove(FORWARDED_PREFIX),
    }
    Ok((function, mount.path_start))
}

type Matched = (usize, Vec<(String, String)>);
type Unmatched = Result<Answer, RouteError>;

/// Ignores an upgrade that the route does not take, as RFC 9110 (section 7.8) has it; but a client of WebSocket has no use
/// for another answer, and is told why.
fn check_upgrade(function: &Function, route: usize, head: &mut Head) -> Result<(), RouteError> {
    let Some(offer) = &head.offer else { return Ok(()) };
    if function.routes.upgrades(route, &head.parts.method) {
        return Ok(());
    }
    if !offer.is_websocket() {
        head.offer = None;
        return Ok(());
    }
    let route = function.routes.patterns().nth(route).unwrap_or_default().to_owned();
    Err(RouteError::NoUpgrade { function: function.name().to_owned(), route })
}

/// The function's route for a request; else the host's own answer to OPTIONS, or an error.
fn match_route(function: &Function, head: &Parts, path_start: usize) -> Result<Matched, Box<Unmatched>> {
    let path = &head.uri.path()[path_start..];
    let found = if matches!(path, "" | "/") {
        function.routes.find_root(&head.method)
    } else {
        function.routes.find(path, &head.method)
    };
    let name = || function.name().to_owned();
    Err(Box::new(match found {
        Found::Route(Match { index, params, .. }) => {
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
            return Ok((index, params));
        }
        Found::Options { allow } => Ok(Answer::Options { allow: allow.to_owned() }),
        Found::MethodNotAllowed { allow } => {
            let (method, allow) = (head.method.clone(), allow.to_owned());
            Err(RouteError::MethodNotAllowed { function: name(), method, allow })
        }
        Found::BadParameter { name } => Err(RouteError::BadParameter { name: name.to_owned() }),
        Found::NotFound => Err(RouteError::UnknownPath { function: name() }),
    }))
}
