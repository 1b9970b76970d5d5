//! Builds the route table, and reports conflicts between routes.

use std::collections::HashMap;

use http::Method;

use crate::check::MAX_ROUTES;
use crate::manifest::Route;
use crate::method::{self, Methods};
use crate::path::{self, Pattern};
use crate::problem::{At, Problem};
use crate::table::{Accepted, Endpoint, RouteTable};

/// The problem with the number of routes, if any.
pub(crate) fn check_count(count: usize) -> Option<String> {
    match count {
        0 => Some("must have a route; add {\"path\": \"/\", \"method\": \"GET\"}".to_owned()),
        1..=MAX_ROUTES => None,
        more => Some(format!("has {more} routes; at most {MAX_ROUTES} are allowed, use parameters")),
    }
}

/// The conflicts between valid routes, each given with its position in the file.
pub(crate) fn conflicts<'r>(routes: impl Iterator<Item = (usize, &'r Route)>) -> Vec<Problem> {
    let mut builder = Builder::default();
    for (i, route) in routes {
        builder.add(i, route);
    }
    builder.problems
}

/// A partial table, with what is needed to name the earlier route of a conflict.
#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) table: RouteTable,
    endpoints: HashMap<String, usize>,
    /// For each route of the table, its position in the file.
    positions: Vec<usize>,
    pub(crate) problems: Vec<Problem>,
}

impl Builder {
    pub(crate) fn add(&mut self, position: usize, route: &Route) {
        let at = At::route(position);
        let method_problems = method::check(&route.methods);
        let is_valid = method_problems.is_empty();
        self.problems.extend(method_problems.into_iter().map(|message| at.key("method").problem(message)));
        match path::check(&route.path) {
            Ok(pattern) if is_valid => self.insert(position, route, pattern),
            Ok(_) => {}
            Err(messages) => self.problems.extend(messages.into_iter().map(|m| at.key("path").problem(m))),
        }
    }

    fn insert(&mut self, position: usize, route: &Route, pattern: Pattern) {
        match self.endpoint(&route.path, pattern) {
            Ok(index) => {
                self.report_duplicates(position, index, route);
                self.table.endpoints[index].accepted.methods.push(route.methods.clone());
                self.table.routes.push((index, route.methods.clone()));
                self.table.upgrade.push(route.upgrade);
                self.positions.push(position);
            }
            Err(message) => self.problems.push(At::route(position).key("path").problem(message)),
        }
    }

    /// The endpoint of a path, added if it is new.
    fn endpoint(&mut self, path: &str, pattern: Pattern) -> Result<usize, String> {
        if let Some(&index) = self.endpoints.get(path) {
            return Ok(index);
        }
        let index = self.table.endpoints.len();
        let literal = pattern.literal.is_some();
        match pattern.literal {
            Some(literal) => _ = self.table.literals.insert(literal, index),
            None => self.table.router.insert(path, index).map_err(|error| self.conflict(path, &error))?,
        }
        self.endpoints.insert(path.to_owned(), index);
        self.table.endpoints.push(Endpoint {
            pattern: path.to_owned(),
            literal,
            accepted: Accepted::default(),
        });
        Ok(index)
    }

    /// Names the earliest route that a path conflicts with; matchit's own error only shows a pattern.
    fn conflict(&self, path: &str, error: &matchit::InsertError) -> String {
        let earlier = self.table.routes.iter().zip(&self.positions);
        let found = earlier
            .map(|((index, _), position)| (&self.table.endpoints[*index].pattern, position))
            .find(|(pattern, _)| {
                let mut pair = matchit::Router::new();
                pair.insert(pattern.as_str(), ()).is_ok() && pair.insert(path, ()).is_err()
            });
        match found {
            Some((pattern, position)) => format!(
                "`{path}` conflicts with `{pattern}` at {}: some requests would match both; \
                 write the same path in both, or set them apart by a literal segment",
                At::route(*position)
            ),
            None => format!("`{path}` cannot be a route: {error}"),
        }
    }

    fn report_duplicates(&mut self, position: usize, index: usize, route: &Route) {
        let at = At::route(position);
        let earlier = self.table.routes.iter().zip(&self.positions);
        for ((_, methods), earlier) in earlier.filter(|((i, _), _)| *i == index) {
            for method in shared(methods, &route.methods) {
                self.problems.push(at.key("method").problem(format!(
                    "`{method} {}` is a route already, at {}; remove one of them",
                    route.path,
                    At::route(*earlier)
                )));
            }
        }
    }
}

/// The methods that two routes of one path share. ANY and a name do not conflict: the name has precedence.
fn shared<'m>(a: &'m Methods, b: &'m Methods) -> Vec<&'m str> {
    match (a, b) {
        (Methods::Any, Methods::Any) => vec!["ANY"],
        (Methods::Only(a), Methods::Only(b)) => {
            b.iter().filter(|method| a.contains(method)).map(Method::as_str).collect()
        }
        _ => Vec::new(),
    }
}
