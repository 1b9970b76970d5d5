//! A function's rules for pages of other origins, with their headers made once.

use fezz_manifest::{Cors, CorsOrigins};
use http::{HeaderName, HeaderValue};

/// Headers of the host's own answers that a page may always read.
const EXPOSED: [&str; 2] = ["x-request-id", "retry-after"];

/// The value of `cors` in `fezz.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CorsPolicy {
    origins: Option<Vec<HeaderValue>>,
    /// The request headers that a page may send; none: those that it asks for.
    pub(crate) headers: Option<HeaderValue>,
    /// The response headers that a page may read.
    pub(crate) expose: HeaderValue,
    pub(crate) credentials: bool,
    pub(crate) max_age: Option<HeaderValue>,
}

impl CorsPolicy {
    pub(crate) fn new(cors: &Cors) -> Self {
        let origins = match &cors.origins {
            CorsOrigins::Every => None,
            CorsOrigins::Only(origins) => {
                // Origins are visible ASCII.
                Some(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect())
            }
        };
        let expose = EXPOSED.into_iter().chain(cors.expose.iter().map(HeaderName::as_str));
        Self {
            origins,
            headers: cors.headers.as_ref().map(|headers| list(headers.iter().map(HeaderName::as_str))),
            expose: list(expose),
            credentials: cors.credentials,
            max_age: cors.max_age.map(HeaderValue::from),
        }
    }

    /// Whether answers differ by the origin that asks.
    pub(crate) const fn varies(&self) -> bool {
        self.origins.is_some()
    }

    /// What `access-control-allow-origin` says to this origin; none where it may not call. Where every origin may, it is
    /// said to requests without one too: a cache may give the answer to a page.
    pub(crate) fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match &self.origins {
            None => Some(HeaderValue::from_static("*")),
            Some(origins) => origins.iter().find(|allowed| Some(*allowed) == origin).cloned(),
        }
    }
}

/// Names with commas between them.
fn list<'n>(names: impl Iterator<Item = &'n str>) -> HeaderValue {
    let names = names.collect::<Vec<_>>().join(", ");
    // Names of headers are visible ASCII.
    HeaderValue::try_from(names).unwrap_or(HeaderValue::from_static(""))
}
