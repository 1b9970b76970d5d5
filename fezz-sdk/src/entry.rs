//! Where the host's C calls become Rust: the only `unsafe` file of the SDK.
//!
//! `#[fezz_function]` expands to exported symbols that each make one call into here. Nothing that runs behind these
//! functions can unwind into the host: panics are caught and travel as an outcome.

#![expect(unsafe_code, reason = "this file is the C boundary; see docs/abi.md for the contract it relies on")]

mod panics;
mod reply;

use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fezz_abi::{FezzHost, FezzLogRecord, FezzPair, FezzPairs, FezzRequest, FezzResponse, FezzSlice};

use crate::host::{Host, Level, install};
use crate::{FezzHttpRequest, FezzHttpResponse};

/// What `fezz_abi_version` answers.
#[must_use]
pub const fn abi_version() -> u32 {
    fezz_abi::ABI_VERSION
}

/// What `fezz_init` does: remembers the host's table.
///
/// # Safety
/// `table` is null or points at a [`FezzHost`] that stays valid for the life of the process.
#[must_use]
pub unsafe fn init(table: *const FezzHost) -> i32 {
    panics::install_hook();
    // SAFETY: the caller vouches for the table, for the life of the process.
    let Some(table) = (unsafe { table.as_ref() }) else { return 1 };
    install(Host {
        function_id: text(table.function_id).to_owned(),
        function_version: text(table.function_version).to_owned(),
        data_dir: OsStr::from_bytes(borrow(table.data_dir)).into(),
        variables: pairs(table.variables)
            .iter()
            .map(|pair| (text(pair.name).to_owned(), text(pair.value).to_owned()))
            .collect(),
        log: LogSink { ctx: table.ctx, log: table.log, level: table.log_level },
    });
    0
}

/// What `fezz_fetch` does: one call of `function`, its panic caught.
///
/// # Safety
/// `request` and `response` are the host's, valid until this returns, as docs/abi.md says for `fezz_fetch`.
pub unsafe fn fetch(
    function: fn(FezzHttpRequest) -> FezzHttpResponse,
    request: *const FezzRequest,
    response: *mut FezzResponse,
) {
    let outcome = panics::catch(|| {
        // SAFETY: the caller vouches for the request for the time of this call; `retain` extends that.
        let raw = unsafe { RequestRef::retain(request) };
        let request = raw.and_then(FezzHttpRequest::new);
        request.map_or_else(
            || reply::failed("the host's request is malformed".to_owned()),
            |request| reply::encode(function(request)),
        )
    });
    let answer = outcome.unwrap_or_else(reply::panicked);
    // SAFETY: the caller vouches for the response.
    unsafe { write(response, answer) };
}

/// Writes the answer, or as much of it as an older host has room for.
///
/// # Safety
/// `response` points at a [`FezzResponse`] whose `size` says how many bytes of it may be written.
unsafe fn write(response: *mut FezzResponse, mut answer: FezzResponse) {
    // SAFETY: every version of the struct begins with its size.
    let room = unsafe { (*response).size };
    answer.size = room;
    let bytes = room.min(size_of::<FezzResponse>());
    // SAFETY: the host's struct has room for these bytes, and it holds nothing that must be dropped.
    unsafe { ptr::copy_nonoverlapping((&raw const answer).cast::<u8>(), response.cast::<u8>(), bytes) };
}

/// Frees the box that `ctx` stands for. A `Drop` that panics must not unwind into the host.
unsafe extern "C" fn release<T>(ctx: *mut c_void) {
    // SAFETY: the host calls this once, with the pointer that `Box::into_raw` gave for the same T.
    let owner = unsafe { Box::from_raw(ctx.cast::<T>()) };
    if let Err(message) = panics::catch(|| drop(owner)) {
        crate::log(Level::Error, &format!("a value of the response panicked when it was dropped: {message}"));
    }
}

/// A request of the host's, kept alive by the count that `retain` and `release` hold.
#[derive(Debug)]
pub(crate) struct RequestRef(NonNull<FezzRequest>);

// SAFETY: the contract lets `retain` and `release` be called from any thread, and all else in it is immutable while
// one of them is outstanding; `cancelled` is only read atomically.
unsafe impl Send for RequestRef {}
// SAFETY: as for Send: shared use only reads.
unsafe impl Sync for RequestRef {}

impl RequestRef {
    /// # Safety
    /// `request` is null, or valid for the time of this call.
    unsafe fn retain(request: *const FezzRequest) -> Option<Self> {
        let this = NonNull::new(request.cast_mut())?;
        // SAFETY: valid for the time of this call, says the caller.
        let retain = unsafe { this.as_ref() }.retain;
        // SAFETY: the host's own function, given the host's own request.
        unsafe { retain(request) };
        Some(Self(this))
    }

    fn get(&self) -> &FezzRequest {
        // SAFETY: retained, so valid until the drop of `self`.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn method(&self) -> &[u8] {
        borrow(self.get().method)
    }

    pub(crate) fn path(&self) -> &str {
        text(self.get().path)
    }

    pub(crate) fn query(&self) -> &str {
        text(self.get().query)
    }

    pub(crate) fn route(&self) -> &str {
        text(self.get().route)
    }

    pub(crate) fn request_id(&self) -> &str {
        text(self.get().request_id)
    }

    pub(crate) fn traceparent(&self) -> &str {
        text(self.get().traceparent)
    }

    pub(crate) fn client_addr(&self) -> &str {
        text(self.get().client_addr)
    }

    pub(crate) fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(self.get().params).iter().map(|pair| (text(pair.name), text(pair.value)))
    }

    pub(crate) fn headers(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        pairs(self.get().headers).iter().map(|pair| (borrow(pair.name), borrow(pair.value)))
    }

    pub(crate) fn time_left(&self) -> Option<Duration> {
        Some(self.get().time_left_ns).filter(|left| *left != 0).map(Duration::from_nanos)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        // SAFETY: null, or the host's flag, which lives as long as the retained request.
        let flag = unsafe { self.get().cancelled.as_ref() };
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed) != 0)
    }

    /// The body without a copy: the bytes keep the request alive.
    pub(crate) fn body(&self) -> Bytes {
        if self.get().body.len == 0 {
            return Bytes::new();
        }
        Bytes::from_owner(BodyOwner(self.clone()))
    }
}

impl Clone for RequestRef {
    fn clone(&self) -> Self {
        // SAFETY: retained by `self`, given to the host's own function.
        unsafe { (self.get().retain)(self.0.as_ptr()) };
        Self(self.0)
    }
}

impl Drop for RequestRef {
    fn drop(&mut self) {
        // SAFETY: takes back the one `retain` that this value stands for.
        unsafe { (self.get().release)(self.0.as_ptr()) };
    }
}

/// The body's bytes, as an owner for [`Bytes::from_owner`].
struct BodyOwner(RequestRef);

impl AsRef<[u8]> for BodyOwner {
    fn as_ref(&self) -> &[u8] {
        borrow(self.0.get().body)
    }
}

/// The host's log function, with what it has to be given.
#[derive(Debug)]
pub(crate) struct LogSink {
    ctx: *mut c_void,
    log: unsafe extern "C" fn(*mut c_void, *const FezzLogRecord),
    level: u32,
}

// SAFETY: the contract lets `log` be called with `ctx` from any thread, at any time.
unsafe impl Send for LogSink {}
// SAFETY: as for Send.
unsafe impl Sync for LogSink {}

impl LogSink {
    pub(crate) fn write(&self, level: Level, message: &str) {
        if level as u32 > self.level {
            return;
        }
        let record = FezzLogRecord {
            size: size_of::<FezzLogRecord>(),
            level: level as u32,
            line: 0,
            target: FezzSlice::EMPTY,
            message: FezzSlice::new(message.as_bytes()),
            file: FezzSlice::EMPTY,
            request_id: FezzSlice::EMPTY,
            fields: FezzPairs::EMPTY,
        };
        // SAFETY: the host's own function and context; the record lives until it returns.
        unsafe { (self.log)(self.ctx, &raw const record) };
    }
}

/// The host's bytes. Only called with slices of a retained request or of the host's table, and the result is handed out
/// only under a borrow of their owner.
fn borrow<'a>(slice: FezzSlice) -> &'a [u8] {
    // SAFETY: see above; the host fills in valid slices.
    unsafe { slice.as_bytes() }
}

/// The host's text, which the contract says is UTF-8; empty where it is not.
fn text<'a>(slice: FezzSlice) -> &'a str {
    std::str::from_utf8(borrow(slice)).unwrap_or_default()
}

/// The host's pairs, under the same rule as [`borrow`].
fn pairs<'a>(pairs: FezzPairs) -> &'a [FezzPair] {
    // SAFETY: see `borrow`.
    unsafe { pairs.as_slice() }
}
