//! [`Download`]: a streamed response body as the ABI's pull stream.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr;
use std::task::{Context, Poll};

use bytes::Bytes;
use fezz_abi::bridge::Lent;
use fezz_abi::{
    FezzChunk, FezzPair, FezzPairs, FezzSlice, FezzStream, FezzWaker, STREAM_BLOCKING, STREAM_END,
    STREAM_ERROR, STREAM_PENDING, STREAM_READY,
};
use http::HeaderMap;
use http_body::Frame;

use super::{RequestRef, current, panics, release};
use crate::body::{BoxError, Source};
use crate::runtime;

/// A streamed body. Must not move after [`point`](Self::point).
pub(super) struct Download {
    raw: FezzStream,
    /// Used by `next_chunk` alone, which the host calls once at a time.
    state: UnsafeCell<State>,
}

struct State {
    source: Source,
    request: RequestRef,
}

impl Download {
    pub(super) fn new(source: Source, request: &RequestRef) -> Self {
        let raw = FezzStream {
            size: size_of::<FezzStream>(),
            ctx: ptr::null_mut(),
            next_chunk: Some(next_chunk),
            flags: if source.blocks() { STREAM_BLOCKING } else { 0 },
            reserved: 0,
        };
        Self { raw, state: UnsafeCell::new(State { source, request: request.clone() }) }
    }

    /// The stream for the host. Points it at its state, so both must be at their final address.
    pub(super) const fn point(&mut self) -> *const FezzStream {
        self.raw.ctx = self.state.get().cast();
        &raw const self.raw
    }
}

unsafe extern "C" fn next_chunk(ctx: *mut c_void, waker: *const FezzWaker, chunk: *mut FezzChunk) -> u32 {
    // SAFETY: the state of an unreleased response, and the host makes one call at a time.
    let State { source, request } = unsafe { &mut *ctx.cast::<State>() };
    // SAFETY: null, or the host's waker, borrowed for this call.
    let waker = unsafe { waker.as_ref() };
    let mut pull = || match waker {
        Some(waker) => {
            // SAFETY: the host keeps the contract's rules for wakers.
            let waker = unsafe { Lent::new(waker) };
            runtime::enter(|| source.poll_frame(&mut Context::from_waker(&waker)))
        }
        None => Poll::Ready(source.next_blocking()),
    };
    let outcome = current::enter(request, || panics::catch(|| pull().map(described)));
    let (answer, data) = match outcome {
        Ok(Poll::Pending) => return STREAM_PENDING,
        Ok(Poll::Ready(Some(Ok(Ok(data))))) => (STREAM_READY, data),
        Ok(Poll::Ready(Some(Ok(Err(trailers))))) => {
            // SAFETY: the host's struct for this chunk.
            unsafe { write_trailers(chunk, trailers) };
            return STREAM_END;
        }
        Ok(Poll::Ready(Some(Err(reason)))) => (STREAM_ERROR, Bytes::from(reason)),
        Ok(Poll::Ready(None)) => (STREAM_END, Bytes::new()),
        Err(panic) => (STREAM_ERROR, Bytes::from(format!("it panicked: {panic}"))),
    };
    // SAFETY: the host's struct for this chunk.
    unsafe { write(chunk, data) };
    answer
}

/// The data or the trailers of a frame.
type Parts = Result<Bytes, HeaderMap>;

/// An error and its causes as text. Runs under the panic guard: `Display` is the author's code.
fn described(frame: Option<Result<Frame<Bytes>, BoxError>>) -> Option<Result<Parts, String>> {
    let parts =
        |frame: Frame<Bytes>| frame.into_data().map_err(|frame| frame.into_trailers().unwrap_or_default());
    frame.map(|frame| frame.map(parts).map_err(|error| crate::error::chain(&*error)))
}

/// The memory behind the trailers of a chunk.
struct Trailers {
    /// Point into the map.
    pairs: Vec<FezzPair>,
    _map: HeaderMap,
}

/// # Safety
/// `chunk` can be written up to its `size`.
unsafe fn write_trailers(chunk: *mut FezzChunk, map: HeaderMap) {
    // SAFETY: every version of the struct begins with its size.
    let room = unsafe { (*chunk).size };
    if map.is_empty() || room < offset_of!(FezzChunk, trailers) + size_of::<FezzPairs>() {
        return;
    }
    let mut trailers = Box::new(Trailers { pairs: Vec::with_capacity(map.len()), _map: map });
    let Trailers { pairs, _map: map } = &mut *trailers;
    pairs.extend(map.iter().map(|(name, value)| FezzPair {
        name: FezzSlice::new(name.as_str().as_bytes()),
        value: FezzSlice::new(value.as_bytes()),
    }));
    // SAFETY: the size covers the field.
    unsafe { (*chunk).trailers = FezzPairs::new(&trailers.pairs) };
    // SAFETY: the caller guarantees it; a field of version 1.0.
    unsafe { (*chunk).release = Some(release::<Trailers>) };
    // SAFETY: as above.
    unsafe { (*chunk).ctx = Box::into_raw(trailers).cast() };
}

/// # Safety
/// `chunk` can be written.
pub(super) unsafe fn write(chunk: *mut FezzChunk, data: Bytes) {
    if data.is_empty() {
        return;
    }
    let data = Box::new(data);
    // SAFETY: the caller guarantees it; a field of version 1.0, which every host has room for.
    unsafe { (*chunk).data = FezzSlice::new(&data) };
    // SAFETY: as above.
    unsafe { (*chunk).release = Some(release::<Bytes>) };
    // SAFETY: as above.
    unsafe { (*chunk).ctx = Box::into_raw(data).cast() };
}
