//! A request that came over a worker's socket, as the function sees it.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::Arc;

use bytes::Bytes;
use fezz_abi::{FezzPair, FezzPairs, FezzRequest, FezzSlice};

use super::Shared;
use super::upload::Upload;
use crate::worker::{Incoming, WireRequest};

/// A request's body as the function asked for it.
#[derive(Debug)]
pub(crate) enum RemoteBody {
    /// The whole of it.
    Whole(Bytes),
    /// In pieces, as the host sends them.
    Stream(Incoming),
}

/// The twin of [`Call`](super::Call) in a worker process; it too lives for as long as anybody counts on it.
#[derive(Clone, Debug)]
pub(crate) struct RemoteCall(Arc<Inner>);

/// `request` stands first, so that its address is that of the whole.
#[repr(C)]
#[derive(Debug)]
struct Inner {
    request: UnsafeCell<FezzRequest>,
    wire: WireRequest,
    body: Bytes,
    upload: Option<Upload<Incoming>>,
    headers: Vec<FezzPair>,
    params: Vec<FezzPair>,
    /// Where the host says that a call is cancelled.
    cancelled: Arc<Shared>,
}

// SAFETY: the pointers lead into the other fields, which are never changed; `request` is not changed after `new`.
unsafe impl Send for Inner {}
// SAFETY: as for Send.
unsafe impl Sync for Inner {}

impl RemoteCall {
    /// The call with this id.
    pub(crate) fn new(wire: WireRequest, body: RemoteBody, id: u32, cancelled: Arc<Shared>) -> Self {
        let (body, upload) = match body {
            RemoteBody::Whole(body) => (body, None),
            RemoteBody::Stream(incoming) => (Bytes::new(), Some(Upload::new(incoming))),
        };
        let mut call = Arc::new(Inner {
            request: UnsafeCell::new(EMPTY),
            headers: pairs(&wire.headers),
            params: pairs(&wire.params),
            wire,
            body,
            upload,
            cancelled,
        });
        if let Some(inner) = Arc::get_mut(&mut call) {
            inner.point(id);
        }
        Self(call)
    }

    pub(super) fn as_raw(&self) -> *const FezzRequest {
        // From the Arc's own pointer, so that `retain` may reach the whole of Inner through it.
        Arc::as_ptr(&self.0).cast()
    }
}

impl Inner {
    fn point(&mut self, id: u32) {
        let body_stream = self.upload.as_mut().map_or(ptr::null(), Upload::point);
        let wire = &self.wire;
        *self.request.get_mut() = FezzRequest {
            method: FezzSlice::new(&wire.method),
            path: FezzSlice::new(&wire.path),
            query: FezzSlice::new(&wire.query),
            route: FezzSlice::new(&wire.route),
            params: FezzPairs::new(&self.params),
            headers: FezzPairs::new(&self.headers),
            body: FezzSlice::new(&self.body),
            body_stream,
            request_id: FezzSlice::new(&wire.request_id),
            traceparent: FezzSlice::new(&wire.traceparent),
            client_addr: FezzSlice::new(&wire.client_addr),
            time_left_ns: wire.time_left_ns,
            cancelled: ptr::from_ref(self.cancelled.word(id as usize)),
            ..EMPTY
        };
    }
}

fn pairs(pairs: &[(Bytes, Bytes)]) -> Vec<FezzPair> {
    let pair = |(name, value): &(Bytes, Bytes)| FezzPair {
        name: FezzSlice::new(name),
        value: FezzSlice::new(value),
    };
    pairs.iter().map(pair).collect()
}

const EMPTY: FezzRequest = FezzRequest { retain, release, ..super::call::EMPTY };

unsafe extern "C" fn retain(request: *const FezzRequest) {
    // SAFETY: the function gives back the pointer of `as_raw`, which is an Arc's.
    unsafe { Arc::increment_strong_count(request.cast::<Inner>()) };
}

unsafe extern "C" fn release(request: *const FezzRequest) {
    // SAFETY: as above, and it takes back a count of its own.
    unsafe { Arc::decrement_strong_count(request.cast::<Inner>()) };
}
