//! Route: which function and which of its routes a request is for.
//!
//! Works on the catalog snapshot alone, without I/O; knows neither libraries nor files.

mod path;
mod place;
mod sticky;

pub(crate) use place::{Place, Placed};
pub(crate) use sticky::Sticky;

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use axum::body::Body;
use fezz_manifest::{Found, Match};
use futures_util::future::{Either, Ready, ready};
use http::request::Parts;
use tower::{Layer, Service};

use crate::arrive::{Arrived, Head};
use crate::catalog::{Catalog, Function};
use crate::error::Error;
use crate::ffi::Reply;
use crate::respond::Answer;
use path::Target;
use place::PlacedFuture;

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
}

/// A request whose function and route are known.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) head: Box<Head>,
    pub(crate) body: Body,
    pub(crate) function: Arc<Function>,
    /// Where in the URI's path the function's own path begins.
    pub(crate) path_start: usize,
    /// Index of the route in the function's table.
    pub(crate) route: usize,
    pub(crate) params: Vec<(String, String)>,
}

/// Puts routing before a service that needs routed requests.
#[derive(Clone, Debug)]
pub(crate) struct RouteLayer {
    pub(crate) catalog: Arc<ArcSwap<Catalog>>,
    pub(crate) sticky: Arc<Sticky>,
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { here: self.clone(), inner }
    }
}

/// See [`RouteLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Route<S> {
    here: RouteLayer,
    inner: S,
}

impl<S> Service<Arrived> for Route<S>
where
    S: Service<Routed, Response = Reply<Body>, Error = Error, Future: Unpin>,
{
    type Response = Placed<Answer>;
    type Error = Placed<Error>;
    type Future = Either<Ready<Result<Placed<Answer>, Placed<Error>>>, PlacedFuture<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Placed<Error>>> {
        self.inner.poll_ready(cx).map_err(Placed::from)
    }

    fn call(&mut self, request: Arrived) -> Self::Future {
        let catalog = self.here.catalog.load();
        match route(&catalog, &self.here.sticky, request) {
            Ok(routed) => {
                let place = Place { function: Arc::clone(&routed.function), route: Some(routed.route) };
                Either::Right(PlacedFuture { place: Some(place), inner: self.inner.call(routed) })
            }
            Err(outcome) => Either::Left(ready(*outcome)),
        }
    }
}

/// What ends here, with an answer or an error.
type Ended = Box<Result<Placed<Answer>, Placed<Error>>>;

fn route(catalog: &Catalog, sticky: &Sticky, request: Arrived) -> Result<Routed, Ended> {
    let nowhere = |error: RouteError| Box::new(Err(Placed::from(Error::Route(error))));
    let head = &request.head.parts;
    let target = Target::parse(head.uri.path())
        .map_err(|error| nowhere(error.into()))?
        .ok_or_else(|| nowhere(RouteError::Nothing))?;
    let function = catalog
        .find(&target.function, || sticky.value(&head.headers))
        .ok_or_else(|| nowhere(RouteError::UnknownFunction(target.function.into_owned())))?;
    let path_start = target.path_start;
    let function = Arc::clone(function);
    match matched(&function, head, path_start) {
        Ok((route, params)) => {
            let Arrived { head, body } = request;
            Ok(Routed { head, body, function, path_start, route, params })
        }
        Err(outcome) => {
            let place = Some(Place { function, route: None });
            Err(Box::new(match *outcome {
                Ok(answer) => Ok(Placed { place, what: answer }),
                Err(error) => Err(Placed { place, what: Error::Route(error) }),
            }))
        }
    }
}

type Matched = (usize, Vec<(String, String)>);
type Unmatched = Result<Answer, RouteError>;

/// The function's route for a request; else an OPTIONS answer that no function wants to give itself, or an error.
fn matched(function: &Function, head: &Parts, path_start: usize) -> Result<Matched, Box<Unmatched>> {
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
