//! Bodies in pieces: a pull stream, the same in both directions.

use core::ffi::c_void;

use crate::{FezzSlice, FezzWaker};

/// A chunk was written; pull again.
pub const STREAM_READY: u32 = 0;
/// Nothing yet; the waker will be woken.
pub const STREAM_PENDING: u32 = 1;
/// The body is complete.
pub const STREAM_END: u32 = 2;
/// The body broke off; the chunk holds the reason as text. The receiver must not take what came for a whole body.
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
    /// Writes the next chunk. With a waker: answers `STREAM_PENDING` rather than block, and wakes it later. With a
    /// null waker: blocks until it has an answer. Not called again after `STREAM_END` or `STREAM_ERROR`. Never null;
    /// a reader checks all the same.
    pub next_chunk:
        Option<unsafe extern "C" fn(ctx: *mut c_void, waker: *const FezzWaker, chunk: *mut FezzChunk) -> u32>,
    /// 0 or [`STREAM_BLOCKING`].
    pub flags: u32,
    /// 0. Here so that a field which is appended makes the struct larger, and not just less padded.
    pub reserved: u32,
}

/// One piece of a body, owned by the side that produced it until `release`.
#[repr(C)]
#[derive(Debug)]
pub struct FezzChunk {
    /// `sizeof(FezzChunk)` in the side that reads it, set before the call.
    pub size: usize,
    /// The bytes.
    pub data: FezzSlice,
    /// Given to `release`.
    pub ctx: *mut c_void,
    /// Frees the bytes; called exactly once, from any thread. Null where nothing is to be freed.
    pub release: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
}

impl FezzChunk {
    /// The struct as a reader hands it over: all zero but `size`.
    pub const EMPTY: Self =
        Self { size: size_of::<Self>(), data: FezzSlice::EMPTY, ctx: core::ptr::null_mut(), release: None };
}
