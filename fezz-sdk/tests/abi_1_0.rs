//! The SDK on a host of version 1.0: its structs are shorter, and what lies behind them is not theirs.

#![expect(unsafe_code, reason = "acts as the host")]

use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::AtomicU32;

use fezz_sdk::abi::{
    FezzChunk, FezzHost, FezzLogRecord, FezzPairs, FezzRequest, FezzResponse, FezzSlice, FezzStream,
    OUTCOME_RETURNED, STREAM_END, STREAM_READY,
};
use fezz_sdk::{Body, FezzHttpRequest, FezzHttpResponse, entry};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};

static NEVER: AtomicU32 = AtomicU32::new(0);

const PAGE: usize = 1 << 16;

/// The first `size` bytes of a struct, right before memory that cannot be touched. Leaked.
fn shortened<T>(value: &T, size: usize) -> *mut T {
    assert!(size < size_of::<T>());
    let flags = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: new memory.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), 2 * PAGE, flags, MapFlags::PRIVATE) };
    let start = start.expect("memory").cast::<u8>();
    // SAFETY: within the mapping.
    let end = unsafe { start.add(PAGE) };
    // SAFETY: the second half of the mapping, which nothing uses.
    unsafe { mprotect(end.cast(), PAGE, MprotectFlags::empty()) }.expect("protected");
    // SAFETY: within the mapping.
    let place = unsafe { end.sub(size) };
    // SAFETY: the place has room for `size` bytes, and the value has more.
    unsafe { ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>(), place, size) };
    place.cast()
}

unsafe extern "C" fn nothing(_: *const FezzRequest) {}

unsafe extern "C" fn no_log(_: *mut std::ffi::c_void, _: *const FezzLogRecord) {}

/// A body of one piece, in a chunk of the old size.
unsafe extern "C" fn one_piece(
    ctx: *mut std::ffi::c_void,
    _: *const fezz_sdk::abi::FezzWaker,
    chunk: *mut FezzChunk,
) -> u32 {
    // SAFETY: the counter of `request`.
    let pulls = unsafe { &*ctx.cast::<AtomicU32>() };
    if pulls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
        return STREAM_END;
    }
    // SAFETY: a field of version 1.0.
    unsafe { (*chunk).data = FezzSlice::new(b"piece") };
    STREAM_READY
}

/// A request as a host of version 1.0 makes it.
fn request(path: &'static str, stream: *const FezzStream) -> *mut FezzRequest {
    let slice = |text: &'static str| FezzSlice::new(text.as_bytes());
    let size = offset_of!(FezzRequest, http_version);
    let whole = FezzRequest {
        size,
        method: slice("GET"),
        path: slice(path),
        query: FezzSlice::EMPTY,
        route: slice(path),
        params: FezzPairs::EMPTY,
        headers: FezzPairs::EMPTY,
        body: FezzSlice::EMPTY,
        body_stream: stream,
        request_id: slice("r-1"),
        traceparent: FezzSlice::EMPTY,
        client_addr: FezzSlice::EMPTY,
        time_left_ns: 0,
        cancelled: &raw const NEVER,
        retain: nothing,
        release: nothing,
        http_version: u32::MAX,
        flags: u32::MAX,
        scheme: FezzSlice::EMPTY,
        authority: FezzSlice::EMPTY,
        trailers: FezzPairs::EMPTY,
        upgrade: FezzSlice::EMPTY,
        upgraded: ptr::null(),
    };
    shortened(&whole, size)
}

#[expect(clippy::needless_pass_by_value, reason = "a function takes its request")]
fn describe(request: FezzHttpRequest) -> FezzHttpResponse {
    let mut body = request.body_stream().expect("not taken before");
    let piece =
        body.next_blocking().map_or_else(String::new, |piece| format!("{:?}", piece.expect("a piece")));
    FezzHttpResponse::ok().with_body(Body::from_chunks([format!("{:?} {piece}", request.version())]))
}

#[test]
fn a_host_of_version_1_0_is_served() {
    let host = FezzHost {
        size: offset_of!(FezzHost, assets_dir),
        abi_version: 0x1_0000,
        log_level: 0,
        ctx: ptr::null_mut(),
        function_id: FezzSlice::new(b"old"),
        function_version: FezzSlice::new(b"1.0.0"),
        variables: FezzPairs::EMPTY,
        data_dir: FezzSlice::new(b"/tmp"),
        log: no_log,
        assets_dir: FezzSlice::EMPTY,
    };
    let table = shortened(&host, offset_of!(FezzHost, assets_dir));
    let options = entry::Options { threads: 1, init: || Ok(()), prepare: || Ok(()) };
    // SAFETY: the table lives for ever.
    assert_eq!(unsafe { entry::init(table, &options) }, 0);

    let pulls = AtomicU32::new(0);
    let stream = FezzStream {
        size: size_of::<FezzStream>(),
        ctx: ptr::from_ref(&pulls).cast_mut().cast(),
        next_chunk: Some(one_piece),
        flags: 0,
        reserved: 0,
    };
    for (stream, expected) in [(ptr::null(), "HTTP/1.1 "), (&raw const stream, "HTTP/1.1 b\"piece\"")] {
        let mut response = FezzResponse::EMPTY;
        // SAFETY: both live until the function has returned.
        unsafe { (entry::entries(&describe).fetch)(request("/x", stream), &raw mut response) };
        assert_eq!((response.outcome, response.status), (OUTCOME_RETURNED, 200));
        // SAFETY: the response is valid until its release.
        let body = unsafe { &*response.stream };
        let whole = FezzChunk { size: offset_of!(FezzChunk, trailers), ..FezzChunk::EMPTY };
        let chunk = shortened(&whole, offset_of!(FezzChunk, trailers));
        let next = body.next_chunk.expect("a stream");
        // SAFETY: one caller, with a chunk of the old size.
        assert_eq!(unsafe { next(body.ctx, ptr::null(), chunk) }, STREAM_READY);
        // SAFETY: the producer has written it.
        let data = unsafe { (*chunk).data };
        // SAFETY: the bytes live until the chunk's release.
        let data = unsafe { data.as_bytes() };
        assert_eq!(String::from_utf8_lossy(data), expected);
        // SAFETY: as above.
        assert_eq!(unsafe { next(body.ctx, ptr::null(), shortened(&whole, whole.size)) }, STREAM_END);
        let release = response.release.expect("something to free");
        // SAFETY: once, and the chunk is not used any more.
        unsafe { release(response.ctx) };
    }
}
