//! [`Json`]: JSON as an argument and as a response.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::{FromRequest, whole_body};
use crate::{FezzError, FezzHttpRequest};

/// A JSON document. As an argument it is the body, whose content type must be JSON; as a result it is the response.
///
/// ```
/// use fezz_sdk::{Json, fezz_function};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// pub struct Sum {
///     numbers: Vec<i64>,
/// }
///
/// #[fezz_function]
/// pub fn sum(Json(sum): Json<Sum>) -> Json<i64> {
///     Json(sum.numbers.iter().sum())
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(
    /// The value.
    pub T,
);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        if !is_json(request.headers()) {
            return Err(FezzError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be JSON, with content-type: application/json",
            ));
        }
        read(whole_body(request)?).map(Self)
    }
}

/// Parses a document; an error names the invalid field.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, FezzError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() {
            return FezzError::unprocessable("the body is not what is asked for")
                .field(field, error.to_string());
        }
        FezzError::bad_request(format!("the body is not JSON: {error}"))
    })?;
    json.end().map_err(|error| FezzError::bad_request(format!("the body is not JSON: {error}")))?;
    Ok(value)
}

/// `application/json`, or a type that ends in `+json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some(("application", kind)) = media_type.split_once('/') else { return false };
    kind == "json" || kind.ends_with("+json")
}
