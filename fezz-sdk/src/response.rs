//! [`FezzHttpResponse`]: a builder for HTTP responses.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::Body;

/// One HTTP response, built step by step.
///
/// ```
/// use fezz_sdk::{FezzHttpResponse, http::StatusCode};
///
/// let response = FezzHttpResponse::new(StatusCode::CREATED)
///     .header("location", "/todos/7")
///     .json(&["a", "b"]);
/// assert_eq!(response.status(), StatusCode::CREATED);
/// assert_eq!(response.body().as_ref(), br#"["a","b"]"#);
/// ```
///
/// After an invalid header, or a value that cannot be serialized to JSON, the whole response becomes a 500 whose reason
/// is logged: a partial response would be worse.
#[derive(Debug)]
pub struct FezzHttpResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    /// The first thing that made the response invalid.
    defect: Option<String>,
}

impl FezzHttpResponse {
    /// An empty response with this status.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::empty(), defect: None }
    }

    /// An empty response with status 200.
    #[must_use]
    pub fn ok() -> Self {
        Self::new(StatusCode::OK)
    }

    /// Adds a header, and keeps others of the same name.
    #[must_use]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        match (name.try_into().map_err(Into::into), value.try_into().map_err(Into::into)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            (Err(error), _) => self.reject(format!("a response header's name cannot be sent: {error}")),
            (Ok(name), Err(error)) => {
                self.reject(format!("the value of header {name} cannot be sent: {error}"))
            }
        }
        self
    }

    /// Sets the body without a content type.
    #[must_use]
    pub fn bytes(self, body: impl Into<Bytes>) -> Self {
        self.with_body(body.into())
    }

    /// Sets a buffered or streamed body without a content type.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a text body, as `text/plain; charset=utf-8` unless the response has a content type already.
    #[must_use]
    pub fn text(mut self, body: impl Into<String>) -> Self {
        self.default_content_type("text/plain; charset=utf-8");
        self.bytes(body.into())
    }

    /// Sets a JSON body, as `application/json` unless the response has a content type already.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => {
                self.default_content_type("application/json");
                self.bytes(body)
            }
            Err(error) => {
                self.reject(format!("the response's value cannot be written as JSON: {error}"));
                self
            }
        }
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers, mutable.
    pub const fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// The status, mutable.
    pub const fn status_mut(&mut self) -> &mut StatusCode {
        &mut self.status
    }

    /// The buffered body; empty for a streamed one.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        match self.body.as_bytes() {
            Some(body) => body,
            None => &EMPTY,
        }
    }

    /// The body, buffered or streamed.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.body
    }

    /// The parts to send, or why the response is invalid.
    pub(crate) fn into_parts(self) -> Result<(StatusCode, HeaderMap, Body), String> {
        match self.defect {
            None => Ok((self.status, self.headers, self.body)),
            Some(defect) => Err(defect),
        }
    }

    pub(crate) fn default_content_type(&mut self, value: &'static str) {
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(value));
    }

    pub(crate) fn reject(&mut self, reason: String) {
        self.defect.get_or_insert(reason);
    }
}

impl<B: Into<Body>> From<http::Response<B>> for FezzHttpResponse {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body: body.into(), defect: None }
    }
}
