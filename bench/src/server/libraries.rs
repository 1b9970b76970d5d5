//! A control without a host: bare axum that calls function libraries through the C contract, in the plainest way.
//!
//! It has the costs of the contract and of many libraries. What hhrf takes beyond them is the host's own cost.

#![expect(unsafe_code, reason = "it calls libraries through the C contract, as the host does")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::net::SocketAddr;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{self, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use fezz_abi::{
    ABI_VERSION, FetchFn, FezzHost, FezzLogRecord, FezzPair, FezzPairs, FezzRequest, FezzResponse, FezzSlice,
    InitFn, symbol,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::Process;
use super::axum::start_own;
use crate::error::BenchError;

/// Functions by the name in the path, `id@version`.
type Functions = HashMap<String, FetchFn>;

/// Starts this program as a server of the functions deployed in this folder.
pub(crate) fn start(functions: &Path) -> Result<(SocketAddr, Process), BenchError> {
    start_own("the control", "serve-libraries", functions)
}

/// Serves on a free port, whose address is printed, until the process is killed.
pub(crate) fn serve(functions: &Path) -> Result<(), BenchError> {
    let functions = Arc::new(open_all(functions)?);
    fezz_bench_axum::serve(|| Router::new().route("/rpc/{name}", get(call)).with_state(functions))
        .map_err(BenchError::io("serving"))
}

async fn call(
    State(functions): State<Arc<Functions>>,
    extract::Path(name): extract::Path<String>,
    parts: Parts,
) -> Response {
    functions.get(&name).map_or_else(|| status(StatusCode::NOT_FOUND), |function| fetch(*function, &parts))
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn open_all(functions: &Path) -> Result<Functions, BenchError> {
    let doing = || BenchError::io(format!("reading {}", functions.display()));
    let mut opened = Functions::new();
    for folder in std::fs::read_dir(functions).map_err(doing())? {
        let folder = folder.map_err(doing())?;
        for file in std::fs::read_dir(folder.path()).map_err(doing())? {
            let path = file.map_err(doing())?.path();
            if path.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION) {
                let failed = |error: libloading::Error| BenchError::Answer(error.to_string());
                let fetch = open(&path).map_err(failed)?;
                opened.insert(folder.file_name().to_string_lossy().into_owned(), fetch);
            }
        }
    }
    Ok(opened)
}

fn open(path: &Path) -> Result<FetchFn, libloading::Error> {
    // SAFETY: the benchmark's own function, whose constructors may run anywhere.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }?;
    // Its code is called until this process ends.
    let library = Box::leak(Box::new(library));
    // SAFETY: the contract gives this symbol this type.
    let init = unsafe { library.get::<InitFn>(symbol::INIT) }?;
    let host = Box::leak(Box::new(host()));
    // SAFETY: the table lives for the rest of the process.
    unsafe { init(host) };
    // SAFETY: the contract gives this symbol this type.
    let fetch = unsafe { library.get::<FetchFn>(symbol::FETCH) }?;
    Ok(*fetch)
}

const fn host() -> FezzHost {
    FezzHost {
        size: size_of::<FezzHost>(),
        abi_version: ABI_VERSION,
        log_level: 0,
        ctx: ptr::null_mut(),
        function_id: FezzSlice::EMPTY,
        function_version: FezzSlice::EMPTY,
        data_dir: FezzSlice::EMPTY,
        variables: FezzPairs::EMPTY,
        log,
        assets_dir: FezzSlice::EMPTY,
    }
}

const unsafe extern "C" fn log(_: *mut c_void, _: *const FezzLogRecord) {}

/// A reference count is not needed: the function keeps its request no longer than the call and its answer.
const unsafe extern "C" fn keep(_: *const FezzRequest) {}

fn fetch(fetch: FetchFn, parts: &Parts) -> Response {
    let slice = |text: &str| FezzSlice::new(text.as_bytes());
    let headers = parts.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| FezzPair { name: slice(name.as_str()), value: FezzSlice::new(value.as_bytes()) })
        .collect();
    let request = FezzRequest {
        size: size_of::<FezzRequest>(),
        method: slice(parts.method.as_str()),
        path: slice("/"),
        query: slice(parts.uri.query().unwrap_or_default()),
        route: slice("/"),
        params: FezzPairs::EMPTY,
        headers: FezzPairs::new(&headers),
        body: FezzSlice::EMPTY,
        body_stream: ptr::null(),
        request_id: slice("control"),
        traceparent: FezzSlice::EMPTY,
        client_addr: slice("127.0.0.1"),
        time_left_ns: 0,
        cancelled: ptr::null(),
        retain: keep,
        release: keep,
        http_version: 0,
        flags: 0,
        scheme: FezzSlice::EMPTY,
        authority: FezzSlice::EMPTY,
        trailers: FezzPairs::EMPTY,
        upgrade: FezzSlice::EMPTY,
        upgraded: ptr::null(),
    };
    let mut raw = FezzResponse::EMPTY;
    // SAFETY: both structs outlive the call, and the request outlives the release of the answer.
    unsafe { fetch(&raw const request, &raw mut raw) };
    let answer = copied(&raw);
    if let Some(release) = raw.release {
        // SAFETY: once, with the pointer that belongs to it.
        unsafe { release(raw.ctx) };
    }
    answer
}

/// A copy of the answer.
fn copied(raw: &FezzResponse) -> Response {
    // SAFETY: the function keeps the bytes valid until the release.
    let body = unsafe { raw.body.as_bytes() };
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(body)));
    *response.status_mut() = u16::try_from(raw.status)
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // SAFETY: as for the body.
    for pair in unsafe { raw.headers.as_slice() } {
        // SAFETY: as for the body.
        let name = HeaderName::from_bytes(unsafe { pair.name.as_bytes() });
        // SAFETY: as for the body.
        let value = HeaderValue::from_bytes(unsafe { pair.value.as_bytes() });
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
