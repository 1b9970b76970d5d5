//! Streamed bodies: a pull stream of chunks, the same type for requests and responses.

use core::ffi::c_void;

use crate::{FezzPairs, FezzSlice, FezzWaker};

/// A chunk was written; pull again.
pub const STREAM_READY: u32 = 0;
/// No chunk yet; the waker will be woken.
pub const STREAM_PENDING: u32 = 1;
/// The body is complete.
pub const STREAM_END: u32 = 2;
/// The body was cut off; the chunk holds the reason as text. The receiver must treat the body as incomplete.
pub const STREAM_ERROR: u32 = 3;

/// Flag of [`FezzStream`]: `next_chunk` may block, so it is called with a null waker on a thread that may block.
pub const STREAM_BLOCKING: u32 = 1;

/// A pull stream of chunks. One caller at a time, from any thread.
#[repr(C)]
#[derive(Debug)]
pub struct FezzStream {
    /// `sizeof(FezzStream)` in the side that filled it.
    pub size: usize,
    /// Given to `next_chunk`.
    pub ctx: *mut c_void,
    /// Writes the next chunk. With a waker: returns `STREAM_PENDING` instead of blocking, and wakes it later. With a
    /// null waker: blocks until it has a result. Not called again after `STREAM_END` or `STREAM_ERROR`. Must not be
    /// null; a reader checks it anyway.
    pub next_chunk:
        Option<unsafe extern "C" fn(ctx: *mut c_void, waker: *const FezzWaker, chunk: *mut FezzChunk) -> u32>,
    /// 0 or [`STREAM_BLOCKING`].
    pub flags: u32,
    /// 0. Padding made explicit, so that an appended field makes the struct larger.
    pub reserved: u32,
}

/// One chunk of a body, owned by the side that produced it until `release`.
#[repr(C)]
#[derive(Debug)]
pub struct FezzChunk {
    /// `sizeof(FezzChunk)` in the side that reads it, set before the call.
    pub size: usize,
    /// The bytes.
    pub data: FezzSlice,
    /// Given to `release`.
    pub ctx: *mut c_void,
    /// Frees the bytes; called exactly once, from any thread. Null if nothing is to be freed.
    pub release: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    /// Since 1.1. With [`STREAM_END`]: the body's trailers, valid until `release`. A producer writes it only if `size`
    /// covers it.
    pub trailers: FezzPairs,
}

impl FezzChunk {
    /// The struct as a reader passes it: all zero but `size`.
    pub const EMPTY: Self = Self {
        size: size_of::<Self>(),
        data: FezzSlice::EMPTY,
        ctx: core::ptr::null_mut(),
        release: None,
        trailers: FezzPairs::EMPTY,
    };
}
