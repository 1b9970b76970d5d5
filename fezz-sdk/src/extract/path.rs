//! [`Path`]: path parameters as a type.

use serde::de::DeserializeOwned;

use super::FromRequest;
use super::params::{self, Params};
use crate::{FezzError, FezzHttpRequest};

/// The path parameters: a single value, a tuple in the order of the route, or a struct or map by name.
///
/// ```
/// use fezz_sdk::{Path, fezz_function};
///
/// // "/shelves/{shelf}/books/{book}"
/// #[fezz_function]
/// pub fn book(Path((shelf, book)): Path<(String, u64)>) -> String {
///     format!("book {book} on {shelf}")
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path<T>(
    /// The value.
    pub T,
);

impl<T: DeserializeOwned> FromRequest for Path<T> {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        let params = Params::of(request.params().map(|(name, value)| (name.into(), value.into())));
        params::read(&params, "the path is not what is asked for").map(Self)
    }
}
