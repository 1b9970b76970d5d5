//! The C entry points, called as a host would, with reference counts checked.

#![expect(unsafe_code, reason = "acts as the host")]

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use fezz_sdk::abi::{
    ABI_VERSION, FezzHost, FezzLogRecord, FezzPair, FezzPairs, FezzRequest, FezzResponse, FezzSlice,
    OUTCOME_FAILED, OUTCOME_PANICKED, OUTCOME_RETURNED,
};
use fezz_sdk::{Bytes, FezzHttpRequest, FezzHttpResponse, Function, entry};

/// References that have not been released yet.
static RETAINED: AtomicI32 = AtomicI32::new(0);
static NEVER: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn retain(_: *const FezzRequest) {
    RETAINED.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn release(_: *const FezzRequest) {
    RETAINED.fetch_sub(1, Ordering::SeqCst);
}

/// One call of `function` with this method and body. Copies the response and releases it.
fn call<F, M>(method: &str, body: &[u8], function: F) -> (u32, u32, String)
where
    F: Function<M> + Copy,
{
    let slice = |text: &str| FezzSlice::new(text.as_bytes());
    let header = |name, value| FezzPair { name: slice(name), value: slice(value) };
    let headers = [header("x-a", "1"), header("x-a", "2")];
    let params = [header("id", "7")];
    let request = FezzRequest {
        size: size_of::<FezzRequest>(),
        method: slice(method),
        path: slice("/todos/7"),
        query: slice("a=1&b=%20"),
        route: slice("/todos/{id}"),
        params: FezzPairs::new(&params),
        headers: FezzPairs::new(&headers),
        body: FezzSlice::new(body),
        body_stream: ptr::null(),
        request_id: slice("r-1"),
        traceparent: FezzSlice::EMPTY,
        client_addr: slice("127.0.0.1:9"),
        time_left_ns: 5_000_000_000,
        cancelled: &raw const NEVER,
        retain,
        release,
        http_version: 0,
        flags: 0,
        scheme: FezzSlice::EMPTY,
        authority: FezzSlice::EMPTY,
        trailers: FezzPairs::EMPTY,
        upgrade: FezzSlice::EMPTY,
        upgraded: ptr::null(),
    };
    let mut response = FezzResponse::EMPTY;
    // SAFETY: both outlive the call, and these tests do not keep the request beyond it.
    unsafe { (entry::entries(&function).fetch)(&raw const request, &raw mut response) };
    // SAFETY: the response is valid until its release.
    let text = String::from_utf8_lossy(unsafe { response.body.as_bytes() }).into_owned();
    if let Some(release) = response.release {
        // SAFETY: once.
        unsafe { release(response.ctx) };
    }
    (response.outcome, response.status, text)
}

fn describe(req: FezzHttpRequest) -> FezzHttpResponse {
    let values: Vec<_> = req.headers().get_all("x-a").iter().cloned().collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(req.params().collect::<Vec<_>>(), [("id", "7")]);
    assert_eq!(req.query_param("b").as_deref(), Some(" "));
    assert!(req.deadline().is_some() && !req.is_cancelled());
    assert_eq!(req.traceparent(), None);
    // Moved to another thread, the body keeps the request alive.
    let body = req.body().clone();
    drop(req);
    std::thread::spawn(move || FezzHttpResponse::ok().bytes(body)).join().expect("joined")
}

/// One test, so that no other one changes the count.
#[test]
fn calls_keep_the_contract() {
    assert_eq!(call("POST", b"the body", describe), (OUTCOME_RETURNED, 200, "the body".to_owned()));
    assert_eq!(RETAINED.load(Ordering::SeqCst), 0, "the request was not released");

    let (outcome, _, text) =
        call("GET", b"", |_: FezzHttpRequest| -> FezzHttpResponse { panic!("on {}", "purpose") });
    assert_eq!(outcome, OUTCOME_PANICKED);
    assert!(text.starts_with("on purpose (at ") && text.contains("entry.rs:"), "{text}");

    let (outcome, _, text) = call("GET", b"", |_: FezzHttpRequest| FezzHttpResponse::ok().header("a b", "c"));
    assert!(outcome == OUTCOME_FAILED && text.contains("header"), "{outcome} {text}");

    let (outcome, _, text) = call("not a method", b"", describe);
    assert!(outcome == OUTCOME_FAILED && text.contains("malformed"), "{outcome} {text}");

    let (outcome, _, _) = call("GET", b"x", |req: FezzHttpRequest| -> FezzHttpResponse {
        let body: Bytes = req.body().clone();
        drop(req);
        panic!("with {} byte in hand", body.len())
    });
    assert_eq!(outcome, OUTCOME_PANICKED);
    assert_eq!(RETAINED.load(Ordering::SeqCst), 0, "the request of a panicking call was not released");
}

#[test]
fn nothing_is_written_beyond_an_older_hosts_response() {
    // Room for the size and the outcome alone.
    let mut memory = [0xAA_u8; size_of::<FezzResponse>()];
    let room = std::mem::offset_of!(FezzResponse, status);
    memory[..size_of::<usize>()].copy_from_slice(&room.to_ne_bytes());
    let mut aligned = [0_u64; size_of::<FezzResponse>() / 8];
    let bytes: *mut u8 = aligned.as_mut_ptr().cast();
    // SAFETY: both hold as many bytes.
    unsafe { ptr::copy_nonoverlapping(memory.as_ptr(), bytes, memory.len()) };
    // SAFETY: null is a malformed request, and the response's size says how much may be written.
    unsafe { (entry::entries(&describe).fetch)(ptr::null(), bytes.cast()) };
    // SAFETY: as many bytes as before.
    unsafe { ptr::copy_nonoverlapping(bytes, memory.as_mut_ptr(), memory.len()) };
    assert!(memory[room..].iter().all(|byte| *byte == 0xAA), "written beyond the room");
}

unsafe extern "C" fn ignore(_: *mut c_void, _: *const FezzLogRecord) {}

/// A table for the life of the process, as a host's is.
fn table(version: &'static str) -> &'static FezzHost {
    let slice = |text: &'static str| FezzSlice::new(text.as_bytes());
    Box::leak(Box::new(FezzHost {
        size: size_of::<FezzHost>(),
        abi_version: ABI_VERSION,
        log_level: 0,
        ctx: ptr::null_mut(),
        function_id: slice("f"),
        function_version: slice(version),
        data_dir: slice("/data"),
        variables: FezzPairs::new(&[]),
        log: ignore,
        assets_dir: FezzSlice::EMPTY,
    }))
}

/// The function's host after a load with this table.
fn load(table: &'static FezzHost) -> &'static fezz_sdk::Host {
    let options = entry::Options { threads: 1, init: || Ok(()), prepare: || Ok(()) };
    // SAFETY: it lives as long as the process.
    assert_eq!(unsafe { entry::init(table, &options) }, 0);
    fezz_sdk::host().expect("it was loaded")
}

#[test]
fn a_load_with_the_same_table_makes_no_new_host() {
    let (first, second) = (table("1.0.0"), table("2.0.0"));
    let host = load(first);
    assert!(ptr::eq(host, load(first)), "a reload leaks a second one");
    assert_eq!(load(second).function_version(), "2.0.0");
    assert_eq!(host.function_version(), "1.0.0", "an earlier host does not change");
    assert_eq!(load(first).function_version(), "1.0.0");
}
