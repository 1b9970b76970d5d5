//! [`Query`]: the query as a type.

use serde::de::DeserializeOwned;

use super::FromRequest;
use super::params::{Params, named};
use crate::{FezzError, FezzHttpRequest};

/// The query's parameters as a struct or a map. A field that may be missing is an `Option` or has a default; one that
/// may be repeated is a `Vec`.
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
        let params = Params::of(request.query());
        serde_path_to_error::deserialize(&params).map(Self).map_err(|error| {
            let field = named(&params, &error.path().to_string());
            FezzError::bad_request("the query is not what is asked for")
                .field(field, error.into_inner().to_string())
        })
    }
}
