//! Where the host's C calls become Rust: with its child modules, the only `unsafe` code of the SDK.
//!
//! `#[fezz_function]` expands to exported symbols that each make one call into here. Nothing that runs behind these
//! functions can unwind into the host: panics are caught and travel as an outcome.

#![expect(unsafe_code, reason = "this is the C boundary; see docs/abi.md for the contract it relies on")]

pub(crate) mod current;
#[cfg(feature = "testing")]
pub(crate) mod mock;
mod panics;
mod reply;
mod request;
mod stream;
mod task;
pub(crate) mod upload;

use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use fezz_abi::{
    FLAG_BLOCKING, FLAG_BODY_STREAM, FetchAsyncFn, FetchFn, FezzHost, FezzLogRecord, FezzPair, FezzPairs,
    FezzRequest, FezzResponse, FezzSlice, FezzTask,
};

use crate::handler::Function;
use crate::hooks::InitOutcome;
use crate::host::{Host, Level, install};
use crate::{FezzHttpRequest, runtime};
pub(crate) use request::RequestRef;

/// What the attribute's keys say.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads of the library's runtime: `threads`.
    pub threads: usize,
    /// What runs before the first call: `init`.
    pub init: fn() -> InitOutcome,
}

/// What `fezz_abi_version` answers.
#[must_use]
pub const fn abi_version() -> u32 {
    fezz_abi::ABI_VERSION
}

/// The C entries of one function: what its exported symbols call.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// What `fezz_fetch` does: one call, its panic caught. An `async fn` is waited for.
    pub fetch: FetchFn,
    /// What `fezz_fetch_async` does: makes a task of one call.
    pub fetch_async: FetchAsyncFn,
    flags: u32,
}

/// The entries of a function. This is the one place where the compiler says that its types cannot be served.
#[must_use]
pub const fn entries<F: Function<M> + Copy, M>(_: &F) -> Entries {
    let flags = if F::BLOCKING { FLAG_BLOCKING } else { 0 };
    Entries { fetch: fetch::<F, M>, fetch_async: fetch_async::<F, M>, flags }
}

impl Entries {
    /// What `fezz_flags` answers, given whether the attribute says `stream`.
    #[must_use]
    pub const fn flags(&self, streams_bodies: bool) -> u32 {
        if streams_bodies { self.flags | FLAG_BODY_STREAM } else { self.flags }
    }
}

/// The function itself, of which only the type is known in an `extern "C" fn`.
fn conjure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0, "a function is served, and not a closure that holds something") };
    // SAFETY: a type without a size, of which `entries` was shown a value, and that may be copied.
    unsafe { ptr::NonNull::<F>::dangling().read() }
}

/// What `fezz_init` does: remembers the host's table, starts logging, and runs the author's own part.
///
/// # Safety
/// `table` is null or points at a [`FezzHost`] that stays valid for the life of the process.
#[must_use]
pub unsafe fn init(table: *const FezzHost, options: &Options) -> i32 {
    panics::install_hook();
    // SAFETY: the caller vouches for the table, for the life of the process.
    let Some(table) = (unsafe { table.as_ref() }) else { return 1 };
    let address = ptr::from_ref(table).addr();
    install(address, || Host {
        table: address,
        function_id: text(table.function_id).to_owned(),
        function_version: text(table.function_version).to_owned(),
        data_dir: OsStr::from_bytes(borrow(table.data_dir)).into(),
        variables: pairs(table.variables)
            .iter()
            .map(|pair| (text(pair.name).to_owned(), text(pair.value).to_owned()))
            .collect(),
        log: Some(LogSink { ctx: table.ctx, log: table.log, level: table.log_level }),
    });
    runtime::configure(options.threads);
    crate::logs::start();
    let outcome = panics::catch(|| runtime::enter(options.init));
    match outcome.unwrap_or_else(|panic| Err(format!("init panicked: {panic}"))) {
        Ok(()) => 0,
        Err(reason) => {
            crate::log(Level::Error, &reason);
            2
        }
    }
}

/// What `fezz_shutdown` does: runs the author's own part.
pub fn shutdown(hook: fn()) {
    if let Err(panic) = panics::catch(|| runtime::enter(hook)) {
        crate::log(Level::Error, &format!("shutdown panicked: {panic}"));
    }
}

/// # Safety
/// `request` and `response` are the host's, valid until this returns, as docs/abi.md says for `fezz_fetch`.
unsafe extern "C" fn fetch<F: Function<M> + Copy, M>(
    request: *const FezzRequest,
    response: *mut FezzResponse,
) {
    // SAFETY: says the caller.
    unsafe { fetch_with(conjure::<F>(), request, response) };
}

/// # Safety
/// `request` is the host's and valid until the task is dropped, `task` until this returns, as docs/abi.md says for
/// `fezz_fetch_async`.
unsafe extern "C" fn fetch_async<F: Function<M> + Copy, M>(request: *const FezzRequest, task: *mut FezzTask) {
    // SAFETY: says the caller.
    unsafe { fetch_async_with(conjure::<F>(), request, task) };
}

/// # Safety
/// As for [`fetch`].
unsafe fn fetch_with<F: Function<M>, M>(
    function: F,
    request: *const FezzRequest,
    response: *mut FezzResponse,
) {
    // SAFETY: the caller vouches for the request for the time of this call.
    let raw = unsafe { RequestRef::borrow(request) };
    let call = |raw: &RequestRef| {
        // The author may keep the request for longer.
        let request = FezzHttpRequest::new(raw.clone())?;
        let outcome = current::enter(raw, || {
            panics::catch(|| {
                let call = runtime::enter(|| function.call(request));
                let answer =
                    if F::BLOCKING { runtime::block_on_ready(call) } else { runtime::block_on(call) };
                reply::encode(answer, raw)
            })
        });
        Some(outcome.unwrap_or_else(reply::panicked))
    };
    let answer = raw.as_deref().and_then(call).unwrap_or_else(reply::malformed);
    // SAFETY: the caller vouches for the response.
    unsafe { write(response, answer) };
}

/// # Safety
/// As for [`fetch_async`].
unsafe fn fetch_async_with<F: Function<M>, M>(function: F, request: *const FezzRequest, task: *mut FezzTask) {
    // SAFETY: the caller vouches for the request until the task is dropped, and so for longer than it is used.
    let Some(raw) = (unsafe { RequestRef::borrow(request) }) else { return };
    // Without a request the host is told that the call cannot be started: `poll` stays null.
    if let Some(request) = FezzHttpRequest::new(RequestRef::clone(&raw)) {
        // SAFETY: the caller vouches for both.
        unsafe { task::write(task, function, request, raw) };
    }
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
    dispose(owner);
}

/// Drops a value of the author's, whose own `Drop` may panic and may want the runtime.
fn dispose<T>(value: T) {
    runtime::enter(|| empty(&mut Some(value)));
}

/// Drops a value of the author's where it is; its own `Drop` may panic.
fn empty<T>(slot: &mut Option<T>) {
    if let Err(message) = panics::catch(|| *slot = None) {
        crate::log(Level::Error, &format!("a value panicked when it was dropped: {message}"));
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

/// One record for the host's log.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) level: Level,
    pub(crate) message: &'a str,
    pub(crate) target: &'a str,
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    pub(crate) request_id: &'a str,
    pub(crate) fields: &'a [(String, String)],
}

impl LogSink {
    /// The most detailed level that the host wants to see, as a number of [`Level`]; 0 for none.
    pub(crate) const fn level(&self) -> u32 {
        self.level
    }

    pub(crate) fn write(&self, record: &Record<'_>) {
        let fields: Vec<_> = record
            .fields
            .iter()
            .map(|(name, value)| FezzPair {
                name: FezzSlice::new(name.as_bytes()),
                value: FezzSlice::new(value.as_bytes()),
            })
            .collect();
        let record = FezzLogRecord {
            size: size_of::<FezzLogRecord>(),
            level: record.level as u32,
            line: record.line,
            target: FezzSlice::new(record.target.as_bytes()),
            message: FezzSlice::new(record.message.as_bytes()),
            file: FezzSlice::new(record.file.as_bytes()),
            request_id: FezzSlice::new(record.request_id.as_bytes()),
            fields: FezzPairs::new(&fields),
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
