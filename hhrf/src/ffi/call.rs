//! One request as a function sees it: a [`FezzRequest`] together with everything that it points to.

use std::cell::UnsafeCell;
use std::iter;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fezz_abi::{FezzPair, FezzPairs, FezzRequest, FezzSlice};
use http::HeaderName;

use super::upload::Upload;
use crate::arrive::{Head, REQUEST_ID};
use crate::catalog::Function;
use crate::hop_by_hop::HopByHop;
use crate::invoke::BodyReader;
use crate::route::Routed;

/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REQUEST_ID_NAME: &[u8] = b"x-request-id";

/// What a call is made from.
#[derive(Debug)]
pub(crate) struct CallParts {
    pub(crate) head: Box<Head>,
    pub(crate) function: Arc<Function>,
    /// Where in the URI's path the function's own path begins.
    pub(crate) path_start: usize,
    /// Index of the route in the function's table.
    pub(crate) route: usize,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) deadline: Option<Instant>,
}

/// A request's body as the function asked for it.
#[derive(Debug)]
pub(crate) enum CallBody {
    /// The whole of it.
    Whole(Bytes),
    /// In pieces, as they come.
    Stream(BodyReader),
}

impl CallParts {
    pub(crate) fn new(routed: Routed, deadline: Option<Instant>) -> Self {
        let Routed { head, function, path_start, route, params, .. } = routed;
        Self { head, function, path_start, route, params, deadline }
    }

    /// The path below the function's prefix. Where the client named none it is that of the route that was chosen for
    /// it, which has no parameters.
    pub(crate) fn path(&self) -> &str {
        match self.head.parts.uri.path().get(self.path_start..) {
            None | Some("" | "/") => self.pattern(),
            Some(path) => path,
        }
    }

    pub(crate) fn pattern(&self) -> &str {
        self.function.routes.patterns().nth(self.route).unwrap_or_default()
    }

    /// The request's id.
    pub(crate) fn request_id(&self) -> &[u8] {
        self.head.id.as_bytes()
    }

    /// The trace that the request belongs to (W3C Trace Context); empty where the client names none.
    pub(crate) fn traceparent(&self) -> &[u8] {
        let mut headers = self.head.parts.headers.iter();
        headers.find(|(name, _)| *name == TRACEPARENT).map_or(&[], |(_, value)| value.as_bytes())
    }

    /// The headers that travel on, in order, and the request's id.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let headers = &self.head.parts.headers;
        let hop_by_hop = HopByHop::of(headers);
        let headers =
            headers.iter().filter(move |(name, _)| *name != REQUEST_ID && !hop_by_hop.contains(name));
        let headers = headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        headers.chain(iter::once((REQUEST_ID_NAME, self.request_id())))
    }

    /// How much of its time is left, at least a nanosecond; none where it has no deadline.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline.map(|deadline| left(deadline).max(Duration::from_nanos(1)))
    }
}

/// A request that a function may hold on to for as long as it likes: a count keeps it alive.
#[derive(Clone, Debug)]
pub(crate) struct Call(Arc<Inner>);

/// `request` stands first, so that its address is that of the whole: `retain` and `release` get nothing else.
#[repr(C)]
#[derive(Debug)]
struct Inner {
    request: UnsafeCell<FezzRequest>,
    cancelled: AtomicU32,
    parts: CallParts,
    body: Bytes,
    upload: Option<Upload<BodyReader>>,
    headers: Vec<FezzPair>,
    params: Vec<FezzPair>,
}

// SAFETY: the pointers lead into fields that are never changed and as Send and Sync as their types are; `request` is
// written once more, in `begin`, before anybody else can read it.
unsafe impl Send for Inner {}
// SAFETY: as for Send.
unsafe impl Sync for Inner {}

impl Call {
    pub(crate) fn new(parts: CallParts, body: CallBody) -> Self {
        let (body, upload) = match body {
            CallBody::Whole(body) => (body, None),
            CallBody::Stream(reader) => (Bytes::new(), Some(Upload::new(reader))),
        };
        let mut call = Arc::new(Inner {
            request: UnsafeCell::new(EMPTY),
            cancelled: AtomicU32::new(0),
            headers: header_pairs(&parts),
            params: parts
                .params
                .iter()
                .map(|(name, value)| pair(name.as_bytes(), value.as_bytes()))
                .collect(),
            body,
            upload,
            parts,
        });
        // Only now: a short extension method, for one, lies within the struct that has just moved to its place.
        if let Some(inner) = Arc::get_mut(&mut call) {
            inner.point();
        }
        Self(call)
    }

    /// How much of its time is left; none where it has no deadline.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.0.parts.time_left()
    }

    /// The request, its remaining time filled in. Called once, by the thread that is about to make the call.
    pub(super) fn begin(&self, left: Option<Duration>) -> *const FezzRequest {
        let left = left.map_or(0, |left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        // From the Arc's own pointer, so that `retain` may reach the whole of Inner through it.
        let inner = Arc::as_ptr(&self.0);
        // SAFETY: `inner` points at a live Inner.
        let request = unsafe { &raw const (*inner).request };
        let request = UnsafeCell::raw_get(request);
        // SAFETY: nobody else reads this field: the function has not been called yet.
        unsafe { (*request).time_left_ns = left };
        inner.cast()
    }

    /// The function that is called.
    pub(crate) fn function(&self) -> &Arc<Function> {
        &self.0.parts.function
    }

    /// The request's id.
    pub(crate) fn request_id(&self) -> &str {
        self.0.parts.head.id()
    }

    /// Tells the function that nobody waits for its answer any more.
    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn point(&mut self) {
        let body_stream = self.upload.as_mut().map_or(ptr::null(), Upload::point);
        let parts = &self.parts;
        *self.request.get_mut() = FezzRequest {
            method: FezzSlice::new(parts.head.parts.method.as_str().as_bytes()),
            path: FezzSlice::new(parts.path().as_bytes()),
            query: FezzSlice::new(parts.head.parts.uri.query().unwrap_or_default().as_bytes()),
            route: FezzSlice::new(parts.pattern().as_bytes()),
            params: FezzPairs::new(&self.params),
            headers: FezzPairs::new(&self.headers),
            body: FezzSlice::new(&self.body),
            body_stream,
            request_id: FezzSlice::new(parts.request_id()),
            traceparent: FezzSlice::new(parts.traceparent()),
            client_addr: FezzSlice::new(parts.head.peer.address_text().as_bytes()),
            cancelled: &raw const self.cancelled,
            ..EMPTY
        };
    }
}

fn header_pairs(parts: &CallParts) -> Vec<FezzPair> {
    let mut pairs = Vec::with_capacity(parts.head.parts.headers.len() + 1);
    pairs.extend(parts.headers().map(|(name, value)| pair(name, value)));
    pairs
}

fn pair(name: &[u8], value: &[u8]) -> FezzPair {
    FezzPair { name: FezzSlice::new(name), value: FezzSlice::new(value) }
}

pub(super) const EMPTY: FezzRequest = FezzRequest {
    size: size_of::<FezzRequest>(),
    method: FezzSlice::EMPTY,
    path: FezzSlice::EMPTY,
    query: FezzSlice::EMPTY,
    route: FezzSlice::EMPTY,
    params: FezzPairs::EMPTY,
    headers: FezzPairs::EMPTY,
    body: FezzSlice::EMPTY,
    body_stream: ptr::null(),
    request_id: FezzSlice::EMPTY,
    traceparent: FezzSlice::EMPTY,
    client_addr: FezzSlice::EMPTY,
    time_left_ns: 0,
    cancelled: ptr::null(),
    retain,
    release,
};

unsafe extern "C" fn retain(request: *const FezzRequest) {
    // SAFETY: the function gives back the pointer of `begin`, which is an Arc's.
    unsafe { Arc::increment_strong_count(request.cast::<Inner>()) };
}

unsafe extern "C" fn release(request: *const FezzRequest) {
    // SAFETY: as above, and it takes back a count of its own.
    unsafe { Arc::decrement_strong_count(request.cast::<Inner>()) };
}
