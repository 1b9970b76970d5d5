//! [`Upload`]: reads a request's body, or an upgraded connection, from the ABI's pull stream.

use std::ffi::c_void;
use std::ptr;
use std::task::{Context, Poll};

use bytes::Bytes;
use fezz_abi::bridge::lend;
use fezz_abi::{FezzChunk, FezzStream, FezzWaker, STREAM_END, STREAM_PENDING, STREAM_READY};
use http_body::Frame;

use super::request::header_map;
use super::{RequestRef, borrow, pairs};

/// The one reader of a request's stream.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Keeps the stream alive.
    request: RequestRef,
    stream: fn(&RequestRef) -> Option<&FezzStream>,
    ended: bool,
}

impl Upload {
    /// `request` must have a stream with no other reader.
    pub(crate) const fn new(request: RequestRef) -> Self {
        Self { request, stream: RequestRef::body_stream, ended: false }
    }

    /// What the client sends after the upgrade that `request` offers.
    #[cfg(feature = "tokio")]
    pub(crate) const fn of_upgrade(request: RequestRef) -> Self {
        Self { request, stream: RequestRef::upgraded, ended: false }
    }

    /// Whether the end was read, or an error.
    pub(crate) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next frame, without blocking. An error is the host's description.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let waker = lend(cx.waker());
        self.pull(&raw const waker)
    }

    /// The next frame; blocks until it is available.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Frame<Bytes>, String>> {
        match self.pull(ptr::null()) {
            Poll::Ready(chunk) => chunk,
            Poll::Pending => Some(Err("the host has nothing yet, though it was asked to block".to_owned())),
        }
    }

    fn pull(&mut self, waker: *const FezzWaker) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let stream = (self.stream)(&self.request).filter(|_| !self.ended);
        let Some(&FezzStream { ctx, next_chunk: Some(next_chunk), .. }) = stream else {
            return Poll::Ready(None);
        };
        let mut chunk = Chunk(FezzChunk::EMPTY);
        // SAFETY: the stream lives as long as the request, and `&mut` makes this the only caller; waker and chunk
        // outlive the call.
        let answer = unsafe { next_chunk(ctx, waker, &raw mut chunk.0) };
        match answer {
            STREAM_PENDING => return Poll::Pending,
            STREAM_READY => return Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(chunk))))),
            _ => self.ended = true,
        }
        if answer == STREAM_END {
            let trailers = header_map(pairs(chunk.0.trailers));
            return Poll::Ready(
                Some(trailers).filter(|map| !map.is_empty()).map(|map| Ok(Frame::trailers(map))),
            );
        }
        Poll::Ready(Some(Err(String::from_utf8_lossy(chunk.as_ref()).into_owned())))
    }
}

/// A chunk in the host's memory, released when dropped.
struct Chunk(FezzChunk);

// SAFETY: the contract lets a chunk be read and released from any thread.
unsafe impl Send for Chunk {}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        borrow(self.0.data)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let ctx: *mut c_void = self.0.ctx;
        if let Some(release) = self.0.release {
            // SAFETY: once, with the pointer that belongs to it.
            unsafe { release(ctx) };
        }
    }
}
