//! [`FezzHttpRequest`]: the HTTP request of a call.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Uri, Version};
use serde::de::DeserializeOwned;

use crate::body::WithTrailers;
use crate::body_stream::RequestBody;
use crate::entry::RequestRef;
use crate::entry::upload::Upload;
use crate::{Body, BodyStream};

/// One HTTP request.
///
/// It refers to the host's memory and keeps it alive, so it can be moved to another thread and outlive its call. The
/// header map is built at the first use. A clone is cheap and shares the same memory.
#[derive(Clone, Debug)]
pub struct FezzHttpRequest {
    raw: RequestRef,
    method: Method,
    deadline: Option<Instant>,
    /// In a box: most functions do not use it, and the request is moved often.
    headers: OnceLock<Box<HeaderMap>>,
    body: OnceLock<Bytes>,
    /// Whether the body's stream was taken; none for a buffered body.
    stream_taken: Option<Arc<AtomicBool>>,
}

/// A body of the wrong format.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is not UTF-8.
    #[error("the request body is not UTF-8: {0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// The body is not JSON, or does not match the type.
    #[error("the request body is not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl FezzHttpRequest {
    pub(crate) fn new(raw: RequestRef) -> Option<Self> {
        let method = Method::from_bytes(raw.method()).ok()?;
        let deadline = raw.time_left().and_then(|left| Instant::now().checked_add(left));
        let stream_taken = raw.has_body_stream().then(Arc::default);
        Some(Self { raw, method, deadline, headers: OnceLock::new(), body: OnceLock::new(), stream_taken })
    }

    pub(crate) fn into_headers(self) -> HeaderMap {
        let _ = self.headers();
        self.headers.into_inner().map_or_else(HeaderMap::new, |headers| *headers)
    }

    /// The upgrade that the client asks for, if the function may make it.
    #[cfg(feature = "tokio")]
    pub(crate) fn upgrade(&self) -> Option<crate::Upgrade> {
        crate::Upgrade::of(&self.raw)
    }

    /// Whether the body is a stream, and [`body`](Self::body) is empty.
    pub(crate) const fn is_streamed(&self) -> bool {
        self.stream_taken.is_some()
    }

    /// The body, chunk by chunk; none if its stream was taken before.
    #[must_use]
    pub fn body_stream(&self) -> Option<BodyStream> {
        let Some(taken) = &self.stream_taken else { return Some(BodyStream::buffered(self.body().clone())) };
        let is_first = !taken.swap(true, Ordering::Relaxed);
        is_first.then(|| BodyStream::streamed(Upload::new(self.raw.clone())))
    }

    /// The body as a [`Body`], to be forwarded; empty if its stream was taken before.
    #[must_use]
    pub fn to_body(&self) -> Body {
        let Some(taken) = &self.stream_taken else {
            let (body, trailers) = (self.body().clone(), self.raw.trailers());
            return if trailers.is_empty() {
                body.into()
            } else {
                Body::streamed(WithTrailers::new(body, trailers))
            };
        };
        if taken.swap(true, Ordering::Relaxed) {
            return Body::empty();
        }
        let length = self.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Body::streamed(RequestBody::new(Upload::new(self.raw.clone()), length))
    }

    /// The trailers of the whole body. Those of a streamed body come at its end: read it as a [`Body`].
    #[must_use]
    pub fn trailers(&self) -> HeaderMap {
        self.raw.trailers()
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The path below the function's own prefix, percent-encoded as the client sent it: `/todos/7`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.raw.path()
    }

    /// The route of `fezz.json` that matched: `/todos/{id}`.
    #[must_use]
    pub fn matched_route(&self) -> &str {
        self.raw.route()
    }

    /// A path parameter, percent-decoded.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All path parameters in the order of the route, percent-decoded.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.raw.params()
    }

    /// The query without its `?`, as the client sent it; empty if there is none.
    #[must_use]
    pub fn query_string(&self) -> &str {
        self.raw.query()
    }

    /// The query's pairs in their order, decoded as `application/x-www-form-urlencoded` (WHATWG URL, section 5.1).
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query_string().as_bytes())
    }

    /// The first value of a query parameter, decoded.
    #[must_use]
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The headers, including repeated ones and values that are not UTF-8. Hop-by-hop headers (RFC 9110, section 7.6.1)
    /// are removed by the host.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| Box::new(self.raw.headers()))
    }

    /// The body; empty if the function streams it.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.body.get_or_init(|| self.raw.body())
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`BodyError::Utf8`] if it is not UTF-8.
    pub fn text(&self) -> Result<&str, BodyError> {
        Ok(std::str::from_utf8(self.body())?)
    }

    /// The body, parsed as JSON.
    ///
    /// # Errors
    /// [`BodyError::Json`] if it is not JSON, or does not match `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BodyError> {
        Ok(serde_json::from_slice(self.body())?)
    }

    /// The id of this request: the client's `x-request-id`, or one generated by the host.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.raw.request_id()
    }

    /// The version of HTTP that the client speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.raw.version()
    }

    /// The request's target, with the path below the function's own prefix. As on a listener of one's own it has a scheme
    /// and an authority over HTTP/2, and where the client sent them (absolute form).
    ///
    /// # Errors
    /// If the target is no valid URI.
    pub fn uri(&self) -> Result<Uri, http::Error> {
        let (path, query) = (self.path(), self.query_string());
        let target = if query.is_empty() {
            let mark = if self.raw.has_empty_query() { "?" } else { "" };
            [path, mark].concat()
        } else {
            [path, "?", query].concat()
        };
        let target = PathAndQuery::from_maybe_shared(Bytes::from(target))?;
        let authority = self.raw.authority();
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(target);
        if !authority.is_empty() {
            parts.scheme = Some(Scheme::try_from(self.raw.scheme())?);
            parts.authority = Some(Authority::try_from(authority)?);
        }
        Ok(Uri::from_parts(parts)?)
    }

    /// The client's W3C `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        Some(self.raw.traceparent()).filter(|text| !text.is_empty())
    }

    /// The address that the client connected from.
    #[must_use]
    pub fn client_addr(&self) -> Option<SocketAddr> {
        self.raw.client_addr().parse().ok()
    }

    /// When the host cancels this call and answers 504.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the response is no longer wanted: the deadline has passed, or the client has gone. Long work should check
    /// this regularly, and stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.raw.is_cancelled()
    }
}
