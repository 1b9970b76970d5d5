//! [`Path`]: path parameters as a type.

use serde::de::DeserializeOwned;

use super::FromRequest;
use super::params::{Params, named};
use crate::{FezzError, FezzHttpRequest};

/// The parameters of the matched route: of one a value, of several a tuple in the order of the route, or a struct or a
/// map by their names.
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
        serde_path_to_error::deserialize(&params).map(Self).map_err(|error| {
            let field = named(&params, &error.path().to_string());
            FezzError::bad_request("the path is not what is asked for")
                .field(field, error.into_inner().to_string())
        })
    }
}
