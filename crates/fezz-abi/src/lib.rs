//! The C contract between the fezz host and its functions, version 1.
//!
//! Every type here is `#[repr(C)]` and has its twin in `include/fezz.h`; `docs/abi.md` explains how to use them from any
//! language. The only code is for reading borrowed slices and converting wakers ([`bridge`]). No dependencies, no `std`.
//!
//! Four rules hold everywhere:
//! 1. Bytes are freed by the side that allocated them, through the `release` that came with them.
//! 2. No panic and no exception crosses the boundary, in either direction.
//! 3. A struct begins with its own `size`, as the side that filled it knows it, so that a minor version can append
//!    fields; a reader must not look beyond it. `FezzSlice`, `FezzPair`, `FezzPairs` and `FezzWaker` have no size: they
//!    never change.
//! 4. A pointer is valid as long as its item says, and no longer.

#![no_std]

pub mod bridge;
mod host;
mod request;
mod response;
mod slice;
mod stream;
mod task;
mod waker;

pub use host::{FezzHost, FezzLogRecord, LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_TRACE, LOG_WARN};
pub use request::{FezzRequest, HTTP_1_0, HTTP_1_1, HTTP_2, REQUEST_EMPTY_QUERY};
pub use response::{FezzResponse, OUTCOME_FAILED, OUTCOME_PANICKED, OUTCOME_RETURNED};
pub use slice::{FezzPair, FezzPairs, FezzSlice};
pub use stream::{
    FezzChunk, FezzStream, STREAM_BLOCKING, STREAM_END, STREAM_ERROR, STREAM_PENDING, STREAM_READY,
};
pub use task::{FezzTask, TASK_PENDING, TASK_READY};
pub use waker::{FezzWaker, FezzWakerVtable};

/// Major version: a host refuses a library that was built for another one.
pub const ABI_MAJOR: u32 = 1;
/// Minor version: grows when fields are appended to a struct; any minor of the same major is accepted.
pub const ABI_MINOR: u32 = 1;
/// What `fezz_abi_version` returns: `major << 16 | minor`.
pub const ABI_VERSION: u32 = ABI_MAJOR << 16 | ABI_MINOR;

/// Flag of `fezz_flags`: request bodies come as a stream and are not buffered first.
pub const FLAG_BODY_STREAM: u32 = 1;
/// Flag of `fezz_flags`: calls go to `fezz_fetch`, on a thread that may block, even if `fezz_fetch_async` is exported.
pub const FLAG_BLOCKING: u32 = 2;
/// Flag of `fezz_flags`, since 1.1: the function may answer with 101. Without it no upgrade is offered to it.
pub const FLAG_UPGRADE: u32 = 4;

/// Flag of `fezz_flags`, since 1.1: request bodies that are long, or of unknown length, come as a stream; short ones are
/// buffered first.
pub const FLAG_BODY_MAY_STREAM: u32 = 8;

/// `fezz_init` answers with this where the library's memory is in the way of another set-up after one that has failed: a
/// logger can be installed once. The host then loads a fresh copy of the library.
pub const INIT_STALE: u32 = 3;

/// Names of the symbols that a function library exports.
pub mod symbol {
    /// Required: [`AbiVersionFn`](super::AbiVersionFn).
    pub const ABI_VERSION: &str = "fezz_abi_version";
    /// Required: [`FetchFn`](super::FetchFn).
    pub const FETCH: &str = "fezz_fetch";
    /// Optional: [`FetchAsyncFn`](super::FetchAsyncFn).
    pub const FETCH_ASYNC: &str = "fezz_fetch_async";
    /// Optional: [`FlagsFn`](super::FlagsFn).
    pub const FLAGS: &str = "fezz_flags";
    /// Optional: [`InitFn`](super::InitFn).
    pub const INIT: &str = "fezz_init";
    /// Optional: [`ShutdownFn`](super::ShutdownFn).
    pub const SHUTDOWN: &str = "fezz_shutdown";
}

/// `uint32_t fezz_abi_version(void)`: the contract that the library was built for, see [`ABI_VERSION`].
pub type AbiVersionFn = unsafe extern "C" fn() -> u32;
/// `void fezz_fetch(const FezzRequest *, FezzResponse *)`: one request, one response; may block its thread.
pub type FetchFn = unsafe extern "C" fn(request: *const FezzRequest, response: *mut FezzResponse);
/// `void fezz_fetch_async(const FezzRequest *, FezzTask *)`: starts a call that the host polls; must not block.
pub type FetchAsyncFn = unsafe extern "C" fn(request: *const FezzRequest, task: *mut FezzTask);
/// `uint32_t fezz_flags(void)`: how the function wants to be called, [`FLAG_BODY_STREAM`], [`FLAG_BLOCKING`], [`FLAG_UPGRADE`] and
/// [`FLAG_BODY_MAY_STREAM`]. Asked once after each load, before `fezz_init`.
pub type FlagsFn = unsafe extern "C" fn() -> u32;
/// `int32_t fezz_init(const FezzHost *)`: once after each load, before the first call. Anything but 0 refuses the load.
pub type InitFn = unsafe extern "C" fn(host: *const FezzHost) -> i32;
/// `void fezz_shutdown(void)`: after the last call, when the function is evicted or its host drains.
pub type ShutdownFn = unsafe extern "C" fn();
