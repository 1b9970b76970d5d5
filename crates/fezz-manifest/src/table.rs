//! [`RouteTable`]: built once from the routes of a manifest, then used for every request.
//!
//! Patterns without parameters are in a hash map, the others in a matchit router. The order of the look-ups does not
//! change the result, since matchit prefers literals too. But a hit in the map never allocates, while matchit allocates
//! for the parameters that it skips on the way to a literal.

use std::collections::HashMap;

use http::Method;

use crate::builder::{Builder, check_count};
use crate::found::{Found, Match, Params};
use crate::manifest::Route;
use crate::method::{Methods, is_refused};
use crate::problem::{At, Problems};

/// Finds the route for a path and a method.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    pub(crate) endpoints: Vec<Endpoint>,
    /// Request path to endpoint, for patterns without parameters.
    pub(crate) literals: HashMap<String, usize>,
    /// The same for patterns with parameters.
    pub(crate) router: matchit::Router<usize>,
    /// Endpoint and methods of every route, in file order.
    pub(crate) routes: Vec<(usize, Methods)>,
    /// Whether each of them may upgrade connections.
    pub(crate) upgrade: Vec<bool>,
    /// Endpoint of `/`, if any.
    slash: Option<usize>,
    /// The methods of a request without further path, if there is no `/` route.
    root: Accepted,
}

impl RouteTable {
    /// Builds the table; the error holds all problems of the routes and between them.
    pub fn new(routes: &[Route]) -> Result<Self, Problems> {
        if let Some(message) = check_count(routes.len()) {
            return Err(At::root().key("routes").problem(message).into());
        }
        let mut builder = Builder::default();
        for (i, route) in routes.iter().enumerate() {
            builder.add(i, route);
        }
        Problems::check(builder.problems)?;
        let mut table = builder.table;
        table.seal();
        Ok(table)
    }

    /// Finds the route for a path below the function's prefix: percent-encoded, and beginning with `/`.
    ///
    /// A hit on a pattern without parameters allocates nothing.
    pub fn find<'p>(&self, path: &'p str, method: &Method) -> Found<'_, 'p> {
        if let Some(&index) = self.literals.get(path) {
            return self.answer(index, Params::default(), method);
        }
        match self.router.at(path) {
            // matchit 0.8 accepts an empty parameter before a `/`, as in `//x` for `/{a}/x`, but not at the end. Like
            // matchit 0.9, accept neither.
            Ok(hit) if hit.params.iter().any(|(_, value)| value.is_empty()) => Found::NotFound,
            Ok(hit) => self.answer(*hit.value, Params::new(hit.params), method),
            Err(matchit::MatchError::NotFound) => Found::NotFound,
        }
    }

    /// Finds the route for a request without a path below the function's prefix: the `/` route if there is one, else the
    /// first route in file order without parameters that has the method.
    pub fn find_root(&self, method: &Method) -> Found<'_, 'static> {
        if let Some(index) = self.slash {
            return self.answer(index, Params::default(), method);
        }
        let mut literal = self.routes.iter().filter(|(index, _)| self.endpoints[*index].literal);
        if let Some((index, _)) = literal.find(|(_, methods)| take(methods, method).is_some()) {
            return self.answer(*index, Params::default(), method);
        }
        if self.root.methods.is_empty() { Found::NotFound } else { self.root.refuse(method) }
    }

    /// Every route with its pattern, in file order.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &Methods)> {
        self.routes.iter().map(|(index, methods)| (self.endpoints[*index].pattern.as_str(), methods))
    }

    /// Every pattern once, in the order of [`Match::index`].
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.endpoints.iter().map(|endpoint| endpoint.pattern.as_str())
    }

    /// Whether a request with this method may upgrade its connection, by the [`Match::index`] of its route.
    pub fn upgrades(&self, index: usize, method: &Method) -> bool {
        let of_index = self.routes.iter().zip(&self.upgrade).filter(|((at, _), _)| *at == index);
        let taken = of_index.filter_map(|((_, methods), upgrade)| Some((take(methods, method)?, *upgrade)));
        taken.min_by_key(|(taken, _)| *taken).is_some_and(|(_, upgrade)| upgrade)
    }

    /// Whether each route may upgrade connections, in file order.
    pub fn upgrade_routes(&self) -> &[bool] {
        &self.upgrade
    }

    fn answer<'t, 'p>(&'t self, index: usize, params: Params<'t, 'p>, method: &Method) -> Found<'t, 'p> {
        let Endpoint { pattern, accepted, .. } = &self.endpoints[index];
        let Some(taken) = accepted.take(method) else {
            return accepted.refuse(method);
        };
        match params.undecodable() {
            Some(name) => Found::BadParameter { name },
            None => {
                Found::Route(Match { index, pattern, params, head_from_get: taken == Taken::HeadFromGet })
            }
        }
    }

    /// Computes every `Allow`, once all routes are added.
    fn seal(&mut self) {
        for endpoint in &mut self.endpoints {
            endpoint.accepted.seal();
        }
        self.slash = self.literals.get("/").copied();
        let literal = self.endpoints.iter().filter(|endpoint| endpoint.literal);
        self.root.methods = literal.flat_map(|endpoint| endpoint.accepted.methods.clone()).collect();
        self.root.seal();
    }
}

/// A pattern and the methods of all its routes.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) pattern: String,
    pub(crate) literal: bool,
    pub(crate) accepted: Accepted,
}

/// The methods of all routes of a pattern.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accepted {
    pub(crate) methods: Vec<Methods>,
    allow: String,
}

/// How a request's method matches, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Taken {
    ByName,
    HeadFromGet,
    ByAny,
}

fn take(methods: &Methods, method: &Method) -> Option<Taken> {
    match methods {
        Methods::Only(list) if list.contains(method) => Some(Taken::ByName),
        Methods::Only(list) if *method == Method::HEAD && list.contains(&Method::GET) => {
            Some(Taken::HeadFromGet)
        }
        Methods::Any if !is_refused(method) => Some(Taken::ByAny),
        _ => None,
    }
}

impl Accepted {
    fn take(&self, method: &Method) -> Option<Taken> {
        self.methods.iter().filter_map(|methods| take(methods, method)).min()
    }

    fn refuse(&self, method: &Method) -> Found<'_, 'static> {
        let allow = &self.allow;
        if *method == Method::OPTIONS { Found::Options { allow } } else { Found::MethodNotAllowed { allow } }
    }

    /// Computes `Allow`: the common methods in their usual order, then the others by name.
    fn seal(&mut self) {
        use Method as M;
        let known = [M::GET, M::HEAD, M::POST, M::PUT, M::PATCH, M::DELETE, M::OPTIONS];
        let named = self.methods.iter().filter_map(|methods| match methods {
            Methods::Only(list) => Some(list),
            Methods::Any => None,
        });
        let mut others: Vec<_> =
            named.flatten().filter(|method| !known.contains(method)).map(M::as_str).collect();
        others.sort_unstable();
        others.dedup();
        // OPTIONS is always allowed: without a route for it, the host responds.
        let taken = known.iter().filter(|method| **method == M::OPTIONS || self.take(method).is_some());
        self.allow = taken.map(M::as_str).chain(others).collect::<Vec<_>>().join(", ");
    }
}
