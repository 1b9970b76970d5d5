//! The request of a call: an HTTP request whose function and route are known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use fezz_abi::{HTTP_1_0, HTTP_1_1, HTTP_2, REQUEST_EMPTY_QUERY};
use fezz_runtime::ffi::{Pieces, RequestSource};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use fezz_isolation::host::Reservation;

use super::body::{BodyError, Progress};
use super::concurrency::Permit;
use super::upgrade::{Offer, Upgrade};
use crate::function::Function;

/// Carries the request's id, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// All that is known of an HTTP request before its body is read.
#[derive(Debug)]
pub(crate) struct Head {
    /// Without hop-by-hop headers.
    pub(crate) parts: Parts,
    /// The client's id if it sent a usable one, else the host's own: visible ASCII of limited length. An unusable one
    /// may still stand among the headers.
    pub(crate) id: HeaderValue,
    /// The client's address and port.
    pub(crate) client_addr: Arc<str>,
    /// When the head was complete.
    pub(crate) since: Instant,
    /// The upgrade that the client asks for, until it is known whether the function takes it.
    pub(crate) offer: Option<Box<Offer>>,
}

impl Head {
    /// The request's id.
    pub(crate) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

/// The request of one call, and its source for the C boundary.
#[derive(Debug)]
pub(crate) struct CallRequest {
    /// In a box: moving it from stage to stage would cost more.
    pub(crate) head: Box<Head>,
    pub(crate) function: Arc<Function>,
    /// Where in the URI's path the function's own path begins.
    path_start: usize,
    /// Index of the route in the function's table.
    pub(crate) route: usize,
    params: Vec<(String, String)>,
    cancelled: AtomicU32,
    /// Of a call that has waited for its function to be loaded, and of an isolated one: given back with the request, which
    /// the pool drops before it sends the answer.
    pub(crate) permit: Option<Permit>,
    /// Trailers of a whole body.
    pub(super) trailers: Option<Box<HeaderMap>>,
    /// The memory of a whole body.
    pub(super) body_memory: Option<Reservation>,
    /// Of a streamed body.
    pub(super) body_progress: Option<Arc<Progress>>,
    /// The upgrade that the function may make.
    pub(super) upgrade: Option<Box<Upgrade>>,
}

impl CallRequest {
    pub(crate) const fn new(
        head: Box<Head>,
        function: Arc<Function>,
        path_start: usize,
        route: usize,
        params: Vec<(String, String)>,
    ) -> Self {
        let cancelled = AtomicU32::new(0);
        Self {
            head,
            function,
            path_start,
            route,
            params,
            cancelled,
            permit: None,
            trailers: None,
            body_memory: None,
            body_progress: None,
            upgrade: None,
        }
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) != 0
    }

    /// The function has answered; an error if the host answers instead, for what the client did.
    pub(super) fn answered(&self) -> Result<(), BodyError> {
        self.body_progress.as_ref().map_or(Ok(()), |progress| progress.answered())
    }

    fn pattern(&self) -> &str {
        self.function.routes.patterns().nth(self.route).unwrap_or_default()
    }
}

impl RequestSource for CallRequest {
    fn method(&self) -> &[u8] {
        self.head.parts.method.as_str().as_bytes()
    }

    /// If the client named none, it is that of the route that was chosen for it, which has no parameters.
    fn path(&self) -> &[u8] {
        match self.head.parts.uri.path().get(self.path_start..) {
            None | Some("" | "/") => self.pattern().as_bytes(),
            Some(path) => path.as_bytes(),
        }
    }

    fn query(&self) -> &[u8] {
        self.head.parts.uri.query().unwrap_or_default().as_bytes()
    }

    fn route(&self) -> &[u8] {
        self.pattern().as_bytes()
    }

    fn request_id(&self) -> &[u8] {
        self.head.id.as_bytes()
    }

    fn traceparent(&self) -> &[u8] {
        let mut headers = self.head.parts.headers.iter();
        headers.find(|(name, _)| *name == TRACEPARENT).map_or(&[], |(_, value)| value.as_bytes())
    }

    fn client_addr(&self) -> &[u8] {
        self.head.client_addr.as_bytes()
    }

    fn http_version(&self) -> u32 {
        match self.head.parts.version {
            Version::HTTP_10 => HTTP_1_0,
            Version::HTTP_2 => HTTP_2,
            _ => HTTP_1_1,
        }
    }

    fn flags(&self) -> u32 {
        if self.head.parts.uri.query() == Some("") { REQUEST_EMPTY_QUERY } else { 0 }
    }

    /// That of the target if it has one; the host itself speaks no TLS.
    fn scheme(&self) -> &[u8] {
        self.head.parts.uri.scheme_str().unwrap_or("http").as_bytes()
    }

    fn authority(&self) -> &[u8] {
        self.head.parts.uri.authority().map_or(&[], |authority| authority.as_str().as_bytes())
    }

    fn upgrade(&self) -> &[u8] {
        self.upgrade.as_ref().map_or(&[], |upgrade| upgrade.protocol())
    }

    fn take_upgraded(&mut self) -> Option<Box<dyn Pieces>> {
        self.upgrade.as_mut()?.take_pieces()
    }

    fn params(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        self.params.iter().for_each(|(name, value)| to(name.as_bytes(), value.as_bytes()));
    }

    fn headers(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.head.parts.headers {
            if *name != REQUEST_ID {
                to(name.as_str().as_bytes(), value.as_bytes());
            }
        }
        to(REQUEST_ID.as_str().as_bytes(), self.request_id());
    }

    fn trailers(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.trailers.iter().flat_map(|trailers| trailers.iter()) {
            to(name.as_str().as_bytes(), value.as_bytes());
        }
    }

    fn max_headers(&self) -> usize {
        self.head.parts.headers.len() + 1
    }

    fn cancelled(&self) -> &AtomicU32 {
        &self.cancelled
    }

    /// A function that waits for its body hears of it there.
    fn cancel(&self) {
        self.cancelled.store(1, Ordering::Relaxed);
        if let Some(progress) = &self.body_progress {
            progress.stop();
        }
        if let Some(upgrade) = &self.upgrade {
            upgrade.cancel();
        }
    }

    fn function_number(&self) -> u32 {
        self.function.number
    }
}
