//! The result of a look-up in the route table. All types borrow from the table or from the request.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

/// The result of [`RouteTable::find`](crate::RouteTable::find) for a path and a method.
#[derive(Debug, Clone)]
pub enum Found<'t, 'p> {
    /// A route matches.
    Route(Match<'t, 'p>),
    /// Routes match the path, but none of them the method.
    MethodNotAllowed {
        /// The path's methods, for the `Allow` header.
        allow: &'t str,
    },
    /// The method is OPTIONS, and no route has it: the host responds itself.
    Options {
        /// The path's methods, for the `Allow` header.
        allow: &'t str,
    },
    /// A route matches, but a parameter is not UTF-8 after percent-decoding.
    BadParameter {
        /// The parameter.
        name: &'t str,
    },
    /// No route matches the path.
    NotFound,
}

/// The route that matches a request.
#[derive(Debug, Clone)]
pub struct Match<'t, 'p> {
    /// The position of the pattern in [`RouteTable::patterns`](crate::RouteTable::patterns): small and
    /// stable, for the labels of metrics.
    pub index: usize,
    /// The pattern of `fezz.json`, such as `/todos/{id}`.
    pub pattern: &'t str,
    /// The path parameters.
    pub params: Params<'t, 'p>,
    /// The request is a HEAD that a GET route answers: the response's body must be dropped.
    pub head_from_get: bool,
}

/// The parameters of a match, percent-decoded when they are read; a value without escapes is borrowed from the request.
#[derive(Clone, Default)]
pub struct Params<'t, 'p>(Option<matchit::Params<'t, 'p>>);

impl<'t, 'p> Params<'t, 'p> {
    pub(crate) fn new(params: matchit::Params<'t, 'p>) -> Self {
        Self(Some(params))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, matchit::Params::len)
    }

    /// Whether the pattern has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<Cow<'p, str>> {
        self.0.as_ref()?.get(name).map(decode)
    }

    /// Names and values, in the order of the pattern.
    pub fn iter(&self) -> ParamsIter<'_, 't, 'p> {
        ParamsIter(self.0.as_ref().map(matchit::Params::iter))
    }

    /// The first parameter that is not UTF-8 after decoding.
    pub(crate) fn undecodable(&self) -> Option<&'t str> {
        self.0.as_ref()?.iter().find(|(_, value)| !is_decodable(value)).map(|(name, _)| name)
    }
}

impl fmt::Debug for Params<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<'a, 't, 'p> IntoIterator for &'a Params<'t, 'p> {
    type Item = (&'t str, Cow<'p, str>);
    type IntoIter = ParamsIter<'a, 't, 'p>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// An iterator over the parameters of a match, see [`Params::iter`].
pub struct ParamsIter<'a, 't, 'p>(Option<matchit::ParamsIter<'a, 't, 'p>>);

impl<'t, 'p> Iterator for ParamsIter<'_, 't, 'p> {
    type Item = (&'t str, Cow<'p, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.0.as_mut()?.next()?;
        Some((name, decode(value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.0.as_ref().map_or(0, ExactSizeIterator::len);
        (len, Some(len))
    }
}

impl ExactSizeIterator for ParamsIter<'_, '_, '_> {}

/// Never lossy: the table returns no match with an undecodable parameter.
fn decode(value: &str) -> Cow<'_, str> {
    percent_decode_str(value).decode_utf8_lossy()
}

/// Only escapes of non-ASCII bytes can be invalid UTF-8, so that common values are checked without decoding.
fn is_decodable(value: &str) -> bool {
    !value.contains('%')
        || percent_decode_str(value).all(|byte| byte.is_ascii())
        || percent_decode_str(value).decode_utf8().is_ok()
}
