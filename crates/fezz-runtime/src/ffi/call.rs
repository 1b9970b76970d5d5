//! A request as a function sees it: a [`FezzRequest`], with the memory that it points to.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fezz_abi::{FezzPair, FezzPairs, FezzRequest, FezzSlice};

use super::source::{CallBody, RequestSource};
use super::upload::Upload;

/// A request, reference-counted: the function may retain it beyond the call.
#[derive(Debug)]
pub struct Call<S>(Arc<CallData<S>>);

impl<S> Clone for Call<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The allocation of a call. `request` is the first field, so that its address is that of the struct: `retain` and
/// `release` get nothing else.
#[repr(C)]
#[derive(Debug)]
struct CallData<S> {
    request: UnsafeCell<FezzRequest>,
    source: S,
    body: Bytes,
    upload: Option<Upload>,
    upgraded: Option<Upload>,
    headers: Vec<FezzPair>,
    params: Vec<FezzPair>,
    trailers: Vec<FezzPair>,
}

// SAFETY: the raw pointers lead into the other fields, which are Send and Sync and never change; `request` changes only in
// `begin`, before the function can read it.
unsafe impl<S: Send + Sync> Send for CallData<S> {}
// SAFETY: as for Send.
unsafe impl<S: Send + Sync> Sync for CallData<S> {}

impl<S: RequestSource> Call<S> {
    /// Builds a call that has not begun.
    #[must_use]
    pub fn new(mut source: S, body: CallBody) -> Self {
        let (body, upload) = match body {
            CallBody::Whole(body) => (body, None),
            CallBody::Stream(pieces) => (Bytes::new(), Some(Upload::new(pieces))),
        };
        let upgraded = source.take_upgraded().map(Upload::new);
        let request = UnsafeCell::new(empty::<S>());
        let (headers, params, trailers) = (Vec::new(), Vec::new(), Vec::new());
        let mut call =
            Arc::new(CallData { request, source, body, upload, upgraded, headers, params, trailers });
        // Only now, since the source may have parts inline: the struct has moved to its final address.
        if let Some(data) = Arc::get_mut(&mut call) {
            data.fill_request();
        }
        Self(call)
    }

    /// The source that the call was built from.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.0.source
    }

    /// The request with the time until its deadline; `None` means no deadline. Called once, by the thread that makes the call.
    pub(super) fn begin(&self, left: Option<Duration>) -> *const FezzRequest {
        let left = left.map_or(0, |left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        // From the Arc's own pointer, so that `retain` may reach the whole allocation through it.
        let data = Arc::as_ptr(&self.0);
        // SAFETY: `data` points at live data of this call.
        let request = unsafe { &raw const (*data).request };
        let request = UnsafeCell::raw_get(request);
        // SAFETY: no other thread accesses this field: the function has not been called yet.
        unsafe { (*request).time_left_ns = left };
        data.cast()
    }
}

impl<S: RequestSource> CallData<S> {
    /// Points the request at the other fields, which must not change or move from here on.
    fn fill_request(&mut self) {
        let body_stream = self.upload.as_mut().map_or(ptr::null(), Upload::point);
        let upgraded = self.upgraded.as_mut().map_or(ptr::null(), Upload::point);
        let source = &self.source;
        self.headers.reserve_exact(source.max_headers());
        source.headers(&mut |name, value| self.headers.push(pair(name, value)));
        source.params(&mut |name, value| self.params.push(pair(name, value)));
        source.trailers(&mut |name, value| self.trailers.push(pair(name, value)));
        *self.request.get_mut() = FezzRequest {
            method: FezzSlice::new(source.method()),
            path: FezzSlice::new(source.path()),
            query: FezzSlice::new(source.query()),
            route: FezzSlice::new(source.route()),
            params: FezzPairs::new(&self.params),
            headers: FezzPairs::new(&self.headers),
            body: FezzSlice::new(&self.body),
            body_stream,
            request_id: FezzSlice::new(source.request_id()),
            traceparent: FezzSlice::new(source.traceparent()),
            client_addr: FezzSlice::new(source.client_addr()),
            cancelled: ptr::from_ref(source.cancelled()),
            http_version: source.http_version(),
            flags: source.flags(),
            scheme: FezzSlice::new(source.scheme()),
            authority: FezzSlice::new(source.authority()),
            trailers: FezzPairs::new(&self.trailers),
            upgrade: FezzSlice::new(source.upgrade()),
            upgraded,
            ..empty::<S>()
        };
    }
}

fn pair(name: &[u8], value: &[u8]) -> FezzPair {
    FezzPair { name: FezzSlice::new(name), value: FezzSlice::new(value) }
}

/// A request without content, whose functions are those of this `S`.
const fn empty<S>() -> FezzRequest {
    FezzRequest {
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
        retain: retain::<S>,
        release: release::<S>,
        http_version: 0,
        flags: 0,
        scheme: FezzSlice::EMPTY,
        authority: FezzSlice::EMPTY,
        trailers: FezzPairs::EMPTY,
        upgrade: FezzSlice::EMPTY,
        upgraded: ptr::null(),
    }
}

unsafe extern "C" fn retain<S>(request: *const FezzRequest) {
    // SAFETY: the function passes the pointer of `begin`, which is an Arc's.
    unsafe { Arc::increment_strong_count(request.cast::<CallData<S>>()) };
}

unsafe extern "C" fn release<S>(request: *const FezzRequest) {
    // SAFETY: as above, and it gives back a count of its own.
    unsafe { Arc::decrement_strong_count(request.cast::<CallData<S>>()) };
}

#[cfg(test)]
mod tests;
