//! [`Query`]: query parameters as a type.

use serde::de::DeserializeOwned;

use super::FromRequest;
use super::params::{self, Params};
use crate::{FezzError, FezzHttpRequest};

/// The query parameters as a struct or a map. An optional field is an `Option` or has a default; a repeated one is a
/// `Vec`.
///
/// ```
/// use fezz_sdk::{Query, fezz_function};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// pub struct Page {
///     #[serde(default)]
///     offset: u32,
///     limit: Option<u32>,
/// }
///
/// #[fezz_function]
/// pub fn list(Query(page): Query<Page>) -> String {
///     format!("{} from {}", page.limit.unwrap_or(20), page.offset)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<T>(
    /// The value.
    pub T,
);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        params::read(&Params::of(request.query()), "the query is not what is asked for").map(Self)
    }
}
