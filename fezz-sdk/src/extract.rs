//! [`FromRequest`]: extractors, the arguments of a function.

mod context;
mod json;
mod params;
mod path;
mod query;

use bytes::Bytes;
use http::{HeaderMap, Method};

pub use context::Context;
pub use json::Json;
pub use path::Path;
pub use query::Query;

use crate::{FezzError, FezzHttpRequest};

/// An argument of a function, extracted from the request. Arguments may be in any order.
///
/// | argument | is | rejected with |
/// | --- | --- | --- |
/// | [`FezzHttpRequest`] | the request | |
/// | [`Path<T>`] | path parameters | 400 |
/// | [`Query<T>`] | the query | 400 |
/// | [`Json<T>`] | the body, from JSON | 415, 400, 422 |
/// | [`Bytes`], `Vec<u8>` | the body | |
/// | `String` | the body, as text | 400 |
/// | [`BodyStream`](crate::BodyStream) | the body, chunk by chunk | |
/// | [`HeaderMap`], [`Method`] | the headers, the method | |
/// | [`Context`] | everything besides HTTP | |
/// | `Upgrade` | the upgrade of the connection that the client asks for | 400 |
/// | `Result<T, FezzError>` | an argument, or its rejection | |
///
/// A rejection is answered with a problem document that names the field, and the function is not called.
///
/// ```
/// use fezz_sdk::{FezzError, FezzHttpRequest, FromRequest, fezz_function};
///
/// /// A custom extractor.
/// struct ApiKey(String);
///
/// impl FromRequest for ApiKey {
///     fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
///         let key = request.headers().get("x-api-key").and_then(|key| key.to_str().ok());
///         key.map(|key| Self(key.to_owned()))
///             .ok_or_else(|| FezzError::new(fezz_sdk::http::StatusCode::UNAUTHORIZED, "x-api-key is missing"))
///     }
/// }
///
/// #[fezz_function]
/// pub fn whoami(ApiKey(key): ApiKey) -> String {
///     key
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an argument of a fezz function",
    label = "does not implement `FromRequest`",
    note = "take a FezzHttpRequest, Path<T>, Query<T>, Json<T>, Bytes, String, HeaderMap, Method or Context"
)]
pub trait FromRequest: Sized {
    /// Extracts the argument.
    ///
    /// # Errors
    /// The rejection.
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError>;

    /// As [`from_request`](Self::from_request), for the last argument, which may consume the request.
    ///
    /// # Errors
    /// The rejection.
    #[doc(hidden)]
    fn from_owned_request(request: FezzHttpRequest) -> Result<Self, FezzError> {
        Self::from_request(&request)
    }
}

impl FromRequest for FezzHttpRequest {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(request.clone())
    }

    fn from_owned_request(request: FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(request)
    }
}

impl FromRequest for Method {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(request.method().clone())
    }
}

impl FromRequest for HeaderMap {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(request.headers().clone())
    }

    fn from_owned_request(request: FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(request.into_headers())
    }
}

impl FromRequest for Bytes {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        whole_body(request).cloned()
    }
}

impl FromRequest for Vec<u8> {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(whole_body(request)?.to_vec())
    }
}

impl FromRequest for String {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        let text = std::str::from_utf8(whole_body(request)?);
        text.map(str::to_owned).map_err(|error| FezzError::from(crate::BodyError::from(error)))
    }
}

impl<T: FromRequest> FromRequest for Result<T, FezzError> {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(T::from_request(request))
    }

    fn from_owned_request(request: FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(T::from_owned_request(request))
    }
}

/// The buffered body; an error in a function that streams it.
fn whole_body(request: &FezzHttpRequest) -> Result<&Bytes, FezzError> {
    if request.is_streamed() {
        return Err(FezzError::internal(
            "the attribute says `stream`, so that the body is not there as a whole: take a BodyStream",
        ));
    }
    Ok(request.body())
}
