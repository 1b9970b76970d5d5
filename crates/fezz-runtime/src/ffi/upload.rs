//! A streamed request body or an upgraded connection, pulled by the function.

use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bytes::Bytes;
use fezz_abi::bridge::Lent;
use fezz_abi::{
    FezzChunk, FezzPairs, FezzSlice, FezzStream, FezzWaker, STREAM_END, STREAM_ERROR, STREAM_PENDING,
    STREAM_READY,
};
use http::HeaderMap;
use http_body::Frame;

use super::source::Pieces;
use super::trailers::RawTrailers;

/// A [`FezzStream`] over a body that is still arriving. It must not move once `raw` points to it.
#[derive(Debug)]
pub(super) struct Upload {
    raw: FezzStream,
    /// The contract allows one caller at a time; a lock, in case a function violates it.
    body: Mutex<Box<dyn Pieces>>,
}

impl Upload {
    pub(super) fn new(body: Box<dyn Pieces>) -> Self {
        let raw = FezzStream {
            size: size_of::<FezzStream>(),
            ctx: ptr::null_mut(),
            next_chunk: Some(next_chunk),
            flags: 0,
            reserved: 0,
        };
        Self { raw, body: Mutex::new(body) }
    }

    /// Points the stream at itself; from here on it must not move.
    pub(super) const fn point(&mut self) -> *const FezzStream {
        self.raw.ctx = ptr::from_mut(self).cast();
        &raw const self.raw
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.poll_piece(cx)
    }
}

unsafe extern "C" fn next_chunk(ctx: *mut c_void, waker: *const FezzWaker, chunk: *mut FezzChunk) -> u32 {
    // SAFETY: the context of `point`, in a request that is valid while the function may call this.
    let upload = unsafe { &*ctx.cast_const().cast::<Upload>() };
    // SAFETY: null, or the function's waker, lent for the time of this call.
    let piece = match unsafe { waker.as_ref() } {
        Some(waker) => {
            // SAFETY: the function keeps the contract's rules for wakers.
            let waker = unsafe { Lent::new(waker) };
            match upload.poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(piece) => piece,
                Poll::Pending => return STREAM_PENDING,
            }
        }
        None => block(|cx| upload.poll(cx)),
    };
    let (answer, data) = match piece.map(|piece| piece.map(Frame::into_data)) {
        Some(Ok(Ok(data))) => (STREAM_READY, data),
        Some(Ok(Err(frame))) => {
            // SAFETY: the function's struct for this piece.
            unsafe { write_trailers(chunk, frame.into_trailers().unwrap_or_default()) };
            return STREAM_END;
        }
        Some(Err(reason)) => (STREAM_ERROR, Bytes::from(reason)),
        None => (STREAM_END, Bytes::new()),
    };
    // SAFETY: the function's struct for this piece.
    unsafe { write(chunk, data) };
    answer
}

/// # Safety
/// `chunk` can be written up to its `size`.
unsafe fn write_trailers(chunk: *mut FezzChunk, trailers: HeaderMap) {
    // SAFETY: every version of the struct begins with its size.
    let room = unsafe { (*chunk).size };
    if trailers.is_empty() || room < offset_of!(FezzChunk, trailers) + size_of::<FezzPairs>() {
        return;
    }
    let trailers = RawTrailers::new(trailers);
    // SAFETY: the caller vouches for it, and the size covers the field.
    unsafe { (*chunk).trailers = trailers.pairs() };
    // SAFETY: as above; fields of version 1.0.
    unsafe { (*chunk).release = Some(release::<RawTrailers>) };
    // SAFETY: as above.
    unsafe { (*chunk).ctx = Box::into_raw(trailers).cast() };
}

/// # Safety
/// `chunk` can be written up to its `size`.
unsafe fn write(chunk: *mut FezzChunk, data: Bytes) {
    if data.is_empty() {
        return;
    }
    let data = Box::new(data);
    // SAFETY: the caller vouches for it; a field of version 1.0, which every size covers.
    unsafe { (*chunk).data = FezzSlice::new(&data) };
    // SAFETY: as above.
    unsafe { (*chunk).release = Some(release::<Bytes>) };
    // SAFETY: as above.
    unsafe { (*chunk).ctx = Box::into_raw(data).cast() };
}

unsafe extern "C" fn release<T>(ctx: *mut c_void) {
    // SAFETY: the box of `write` or `write_trailers`, released once.
    drop(unsafe { Box::from_raw(ctx.cast::<T>()) });
}

/// Polls until it is ready, on a thread that may block.
fn block<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return value;
        }
        thread::park();
    }
}
