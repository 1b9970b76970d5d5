//! [`FezzHttpRequest`]: what a function is called with.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::de::DeserializeOwned;

use crate::entry::RequestRef;
use crate::entry::upload::Upload;
use crate::{Body, BodyStream};

/// One HTTP request.
///
/// It borrows the host's memory and keeps it alive, so that it can be moved to another thread and outlive its call.
/// Header map and body are made when they are first asked for.
///
/// A clone is cheap and looks into the same memory.
#[derive(Clone, Debug)]
pub struct FezzHttpRequest {
    raw: RequestRef,
    method: Method,
    deadline: Option<Instant>,
    headers: OnceLock<HeaderMap>,
    body: OnceLock<Bytes>,
    /// Whether the body's stream has found its reader; only where there is one.
    stream_taken: Option<Arc<AtomicBool>>,
}

/// A body that is not what the function asked for.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is not UTF-8.
    #[error("the request body is not UTF-8: {0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// The body is not the JSON that the type asks for.
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
        self.headers.into_inner().unwrap_or_default()
    }

    /// Whether the body comes as a stream, and so not from [`body`](Self::body).
    pub(crate) const fn is_streamed(&self) -> bool {
        self.stream_taken.is_some()
    }

    /// The body, piece by piece; none where somebody has taken it before.
    #[must_use]
    pub fn body_stream(&self) -> Option<BodyStream> {
        let Some(taken) = &self.stream_taken else { return Some(BodyStream::whole(self.body().clone())) };
        let is_first = !taken.swap(true, Ordering::Relaxed);
        is_first.then(|| BodyStream::upload(Upload::new(self.raw.clone())))
    }

    /// The body as one that can be sent on; empty where its stream was taken before.
    #[must_use]
    pub fn to_body(&self) -> Body {
        if self.is_streamed() {
            return self.body_stream().map_or_else(Body::empty, Body::from_upload);
        }
        self.body().clone().into()
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

    /// The query without its `?`, as the client sent it; empty where there is none.
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

    /// The headers, repeated ones and values that are not UTF-8 included. Hop-by-hop headers (RFC 9110, section 7.6.1)
    /// end at the host.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| {
            let pairs = self.raw.headers();
            let mut map = HeaderMap::with_capacity(pairs.len());
            for (name, value) in pairs {
                if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
                {
                    map.append(name, value);
                }
            }
            map
        })
    }

    /// The body; empty where the function reads it as a stream.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.body.get_or_init(|| self.raw.body())
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`BodyError::Utf8`] where it is not UTF-8.
    pub fn text(&self) -> Result<&str, BodyError> {
        Ok(std::str::from_utf8(self.body())?)
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`BodyError::Json`] where it is not JSON, or not what `T` asks for.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BodyError> {
        Ok(serde_json::from_slice(self.body())?)
    }

    /// The id of this request: the client's `x-request-id`, or one that the host made.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.raw.request_id()
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

    /// When the host gives up on this call and answers 504.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether nobody waits for the answer any more. Long work should look now and then, and stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.raw.is_cancelled()
    }
}
