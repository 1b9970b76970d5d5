//! [`IntoFezzResponse`]: the result types of a function.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::{Body, FezzError, FezzHttpResponse, Json};

/// A result of a function, converted to a response.
///
/// | result | response |
/// | --- | --- |
/// | [`FezzHttpResponse`], [`http::Response`] | itself |
/// | `&'static str`, `String`, `Cow<'static, str>` | text, 200 |
/// | `Vec<u8>`, [`Bytes`], [`Body`] | bytes, 200 |
/// | [`Json<T>`] | JSON, 200 |
/// | [`Sse`](crate::Sse) | an event stream, 200 |
/// | [`StatusCode`], `()` | that status, or 200, without a body |
/// | a tuple of [`IntoFezzResponseParts`] and a result | the result's, with another status or more headers |
/// | `Option<T>` | that of the value, or 404 |
/// | `Result<T, E>` | that of the value, or that of the error |
/// | [`FezzError`] | a problem document |
///
/// ```
/// use fezz_sdk::{IntoFezzResponse, Json, http::StatusCode};
///
/// let response = (StatusCode::CREATED, [("location", "/todos/7")], Json([1, 2])).into_fezz_response();
/// assert_eq!(response.status(), StatusCode::CREATED);
/// assert_eq!(response.headers()["location"], "/todos/7");
/// assert_eq!(response.headers()["content-type"], "application/json");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an answer of a fezz function",
    label = "does not implement `IntoFezzResponse`",
    note = "answer with a FezzHttpResponse, text, bytes, Json<T>, a StatusCode, an Option or a Result of these"
)]
pub trait IntoFezzResponse {
    /// The response.
    fn into_fezz_response(self) -> FezzHttpResponse;
}

/// A part before the result in a tuple, which changes the response.
pub trait IntoFezzResponseParts {
    /// Changes the response.
    fn apply(self, response: &mut FezzHttpResponse);
}

impl IntoFezzResponse for FezzHttpResponse {
    fn into_fezz_response(self) -> FezzHttpResponse {
        self
    }
}

impl<B: Into<Body>> IntoFezzResponse for http::Response<B> {
    fn into_fezz_response(self) -> FezzHttpResponse {
        self.into()
    }
}

macro_rules! text {
    ($($text:ty)*) => {$(
        impl IntoFezzResponse for $text {
            fn into_fezz_response(self) -> FezzHttpResponse {
                FezzHttpResponse::ok().text(self)
            }
        }
    )*};
}

text! { &'static str String Cow<'static, str> }

macro_rules! bytes {
    ($($bytes:ty)*) => {$(
        impl IntoFezzResponse for $bytes {
            fn into_fezz_response(self) -> FezzHttpResponse {
                let mut response = FezzHttpResponse::ok().with_body(self);
                response.default_content_type("application/octet-stream");
                response
            }
        }
    )*};
}

bytes! { Vec<u8> Bytes &'static [u8] Body }

impl<T: Serialize> IntoFezzResponse for Json<T> {
    fn into_fezz_response(self) -> FezzHttpResponse {
        FezzHttpResponse::ok().json(&self.0)
    }
}

impl IntoFezzResponse for StatusCode {
    fn into_fezz_response(self) -> FezzHttpResponse {
        FezzHttpResponse::new(self)
    }
}

impl IntoFezzResponse for () {
    fn into_fezz_response(self) -> FezzHttpResponse {
        FezzHttpResponse::ok()
    }
}

impl<T: IntoFezzResponse> IntoFezzResponse for Option<T> {
    fn into_fezz_response(self) -> FezzHttpResponse {
        self.map_or_else(
            || FezzError::not_found("there is nothing here").into_fezz_response(),
            T::into_fezz_response,
        )
    }
}

impl<T: IntoFezzResponse, E: IntoFezzResponse> IntoFezzResponse for Result<T, E> {
    fn into_fezz_response(self) -> FezzHttpResponse {
        match self {
            Ok(answer) => answer.into_fezz_response(),
            Err(error) => error.into_fezz_response(),
        }
    }
}

impl IntoFezzResponseParts for StatusCode {
    fn apply(self, response: &mut FezzHttpResponse) {
        *response.status_mut() = self;
    }
}

impl IntoFezzResponseParts for HeaderMap {
    /// Replaces headers of the same name.
    fn apply(self, response: &mut FezzHttpResponse) {
        response.headers_mut().extend(self);
    }
}

impl<N, V, const COUNT: usize> IntoFezzResponseParts for [(N, V); COUNT]
where
    N: TryInto<HeaderName, Error: Into<http::Error>>,
    V: TryInto<HeaderValue, Error: Into<http::Error>>,
{
    /// Replaces headers of the same name.
    fn apply(self, response: &mut FezzHttpResponse) {
        for (name, value) in self {
            match (name.try_into().map_err(Into::into), value.try_into().map_err(Into::into)) {
                (Ok(name), Ok(value)) => {
                    response.headers_mut().insert(name, value);
                }
                (Err(error), _) | (_, Err(error)) => {
                    response.reject(format!("a response header cannot be sent: {error}"));
                }
            }
        }
    }
}

macro_rules! tuples {
    ($($($part:ident)+;)*) => {$(
        impl<$($part: IntoFezzResponseParts,)+ R: IntoFezzResponse> IntoFezzResponse for ($($part,)+ R) {
            #[allow(non_snake_case, reason = "a value has the name of its type parameter")]
            fn into_fezz_response(self) -> FezzHttpResponse {
                let ($($part,)+ answer) = self;
                let mut response = answer.into_fezz_response();
                $($part.apply(&mut response);)+
                response
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
}
