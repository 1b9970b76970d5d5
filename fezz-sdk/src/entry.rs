//! The C entry points of a function library. With its child modules, the only `unsafe` code of the SDK.
//!
//! `#[fezz_function]` expands to exported symbols, each of which makes one call into this module. No panic unwinds into
//! the host: panics are caught and reported as an outcome.

#![expect(unsafe_code, reason = "this is the C boundary; see docs/abi.md for the contract it relies on")]

pub(crate) mod current;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(target_feature = "crt-static"),
    not(miri)
))]
mod environment;
#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(target_feature = "crt-static"),
    not(miri)
)))]
#[path = "entry/no_environment.rs"]
mod environment;
#[cfg(feature = "testing")]
pub(crate) mod mock;
mod panics;
mod reply;
mod request;
mod set_up;
mod stream;
mod task;
pub(crate) mod upload;

use std::ffi::{OsStr, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use fezz_abi::{
    FLAG_BLOCKING, FLAG_BODY_MAY_STREAM, FLAG_BODY_STREAM, FLAG_UPGRADE, FetchAsyncFn, FetchFn, FezzHost,
    FezzLogRecord, FezzPair, FezzPairs, FezzRequest, FezzResponse, FezzSlice, FezzTask,
};

use crate::handler::Function;
use crate::hooks::InitOutcome;
use crate::host::{Host, Level, install};
use crate::{FezzHttpRequest, runtime};
pub(crate) use request::RequestRef;

/// The keys of the attribute that concern `fezz_init`.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `threads`: worker threads of the library's runtime.
    pub threads: usize,
    /// `init`: runs before the first call.
    pub init: fn() -> InitOutcome,
    /// Makes what the function needs before its first call: [`Entries::prepare`].
    pub prepare: fn() -> InitOutcome,
}

/// The result of `fezz_abi_version`.
#[must_use]
pub const fn abi_version() -> u32 {
    fezz_abi::ABI_VERSION
}

/// The C entry points of one function, called by its exported symbols.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// `fezz_fetch`: one call, panics caught. Blocks until an `async fn` is done.
    pub fetch: FetchFn,
    /// `fezz_fetch_async`: makes a task of one call.
    pub fetch_async: FetchAsyncFn,
    /// Makes the service of a function that returns one.
    pub prepare: fn() -> InitOutcome,
    flags: u32,
}

/// The entry points of a function. Its types are checked here alone, so that a mistake is one compiler error.
#[must_use]
pub const fn entries<F: Function<M> + Copy, M>(_: &F) -> Entries {
    let blocking = if F::BLOCKING { FLAG_BLOCKING } else { 0 };
    let flags = if F::MAY_STREAM { blocking | FLAG_BODY_MAY_STREAM } else { blocking };
    // Without a runtime, nothing could serve an upgraded connection.
    let flags = if cfg!(feature = "tokio") { flags | FLAG_UPGRADE } else { flags };
    Entries { fetch: fetch::<F, M>, fetch_async: fetch_async::<F, M>, prepare: prepare::<F, M>, flags }
}

impl Entries {
    /// The result of `fezz_flags`, given whether the attribute has `stream`.
    #[must_use]
    pub const fn flags(&self, streams_bodies: bool) -> u32 {
        if streams_bodies { self.flags | FLAG_BODY_STREAM } else { self.flags }
    }
}

fn prepare<F: Function<M> + Copy, M>() -> InitOutcome {
    runtime::block_on(zero_sized::<F>().prepare())
}

/// A value of a zero-sized function type: an `extern "C" fn` knows the type alone.
fn zero_sized<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0, "a function is served, and not a closure that holds something") };
    // SAFETY: a zero-sized `Copy` type, of which `entries` was passed a value.
    unsafe { ptr::NonNull::<F>::dangling().read() }
}

/// `fezz_init`: stores the host's table, fills the library's environment, enters the folder of its files, runs the author's hook, makes the function's
/// service, and sets up logging where the author has not.
///
/// # Safety
/// `table` is null or points at a [`FezzHost`] that stays valid for the life of the process.
#[must_use]
pub unsafe fn init(table: *const FezzHost, options: &Options) -> i32 {
    panics::install_hook();
    let address = table.addr();
    // SAFETY: the caller guarantees the table, for the life of the process.
    let Some(table) = (unsafe { copy_table(table) }) else { return 1 };
    let variables = pairs(table.variables).iter().map(|pair| (text(pair.name), text(pair.value)));
    install(address, || {
        // With the table, and so once: what the function has set itself outlives an eviction, as statics do.
        environment::fill(variables.clone());
        Host {
            table: address,
            function_id: text(table.function_id).to_owned(),
            function_version: text(table.function_version).to_owned(),
            data_dir: OsStr::from_bytes(borrow(table.data_dir)).into(),
            assets: Some(borrow(table.assets_dir))
                .filter(|path| !path.is_empty())
                .map(|path| OsStr::from_bytes(path).into()),
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            log: Some(LogSink { ctx: table.ctx, log: table.log, level: table.log_level }),
        }
    });
    if let Some(Err(error)) = crate::assets().map(environment::work_in) {
        crate::log(
            Level::Error,
            &format!("the folder of the application's files cannot be its working directory: {error}"),
        );
        return 2;
    }
    runtime::configure(options.threads);
    set_up::run(options)
}

/// The table, with zeros for the fields that an older host does not have. None for a null pointer.
///
/// # Safety
/// As for [`init`].
unsafe fn copy_table(table: *const FezzHost) -> Option<FezzHost> {
    if table.is_null() {
        return None;
    }
    // SAFETY: every version of the struct begins with its size.
    let room = unsafe { (*table).size }.min(size_of::<FezzHost>());
    let mut copy = MaybeUninit::<FezzHost>::zeroed();
    // SAFETY: the host's struct has this many bytes, and ours no fewer.
    unsafe { ptr::copy_nonoverlapping(table.cast::<u8>(), copy.as_mut_ptr().cast::<u8>(), room) };
    // SAFETY: every host has the fields of version 1.0, and later ones may be zero.
    Some(unsafe { copy.assume_init() })
}

/// `fezz_shutdown`: runs the author's hook.
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
    // SAFETY: the caller guarantees it.
    unsafe { fetch_with(zero_sized::<F>(), request, response) };
}

/// # Safety
/// `request` is the host's and valid until the task is dropped, `task` until this returns, as docs/abi.md says for
/// `fezz_fetch_async`.
unsafe extern "C" fn fetch_async<F: Function<M> + Copy, M>(request: *const FezzRequest, task: *mut FezzTask) {
    // SAFETY: the caller guarantees it.
    unsafe { fetch_async_with(zero_sized::<F>(), request, task) };
}

/// # Safety
/// As for [`fetch`].
unsafe fn fetch_with<F: Function<M>, M>(
    function: F,
    request: *const FezzRequest,
    response: *mut FezzResponse,
) {
    // SAFETY: the caller guarantees that the request is valid during this call.
    let raw = unsafe { RequestRef::borrow(request) };
    let call = |raw: &RequestRef| {
        // A clone, since the author may keep it beyond the call.
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
    // SAFETY: the caller guarantees the response.
    unsafe { write(response, answer) };
}

/// # Safety
/// As for [`fetch_async`].
unsafe fn fetch_async_with<F: Function<M>, M>(function: F, request: *const FezzRequest, task: *mut FezzTask) {
    // SAFETY: the caller guarantees that the request is valid until the task is dropped.
    let Some(raw) = (unsafe { RequestRef::borrow(request) }) else { return };
    // For a malformed request `poll` stays null: the call could not be started.
    if let Some(request) = FezzHttpRequest::new(RequestRef::clone(&raw)) {
        // SAFETY: the caller guarantees both.
        unsafe { task::write(task, function, request, raw) };
    }
}

/// Writes the response, truncated to the size that an older host knows.
///
/// # Safety
/// `response` points at a [`FezzResponse`] whose `size` says how many bytes of it may be written.
unsafe fn write(response: *mut FezzResponse, mut answer: FezzResponse) {
    // SAFETY: every version of the struct begins with its size.
    let room = unsafe { (*response).size };
    answer.size = room;
    let bytes = room.min(size_of::<FezzResponse>());
    // SAFETY: the host's struct has room for these bytes, and holds nothing that needs dropping.
    unsafe { ptr::copy_nonoverlapping((&raw const answer).cast::<u8>(), response.cast::<u8>(), bytes) };
}

/// Frees the box behind `ctx`. A `Drop` that panics must not unwind into the host.
unsafe extern "C" fn release<T>(ctx: *mut c_void) {
    // SAFETY: the host calls this once, with the pointer that `Box::into_raw` gave for the same T.
    let owner = unsafe { Box::from_raw(ctx.cast::<T>()) };
    dispose(owner);
}

/// Drops a value of the author's, whose `Drop` may panic and may need the runtime.
fn dispose<T>(value: T) {
    runtime::enter(|| guard_drop(|| drop(value)));
}

/// Runs what drops a value of the author's, whose `Drop` may panic.
fn guard_drop(drop: impl FnOnce()) {
    if let Err(message) = panics::catch(drop) {
        crate::log(Level::Error, &format!("a value panicked when it was dropped: {message}"));
    }
}

/// The host's log function, its context and its level.
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
    /// The most detailed level that the host logs, as a number of [`Level`]; 0 for none.
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

/// The host's bytes. Only called with slices of a retained request or of the host's table; the result is returned only
/// under a borrow of their owner.
fn borrow<'a>(slice: FezzSlice) -> &'a [u8] {
    // SAFETY: as above; the host fills in valid slices.
    unsafe { slice.as_bytes() }
}

/// The host's text, UTF-8 by contract; empty if it is not.
fn text<'a>(slice: FezzSlice) -> &'a str {
    std::str::from_utf8(borrow(slice)).unwrap_or_default()
}

/// The host's pairs, under the same rule as [`borrow`].
fn pairs<'a>(pairs: FezzPairs) -> &'a [FezzPair] {
    // SAFETY: see `borrow`.
    unsafe { pairs.as_slice() }
}
