//! A mock host for in-process tests: makes the C request and reads the C response.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fezz_abi::bridge::lend;
use fezz_abi::{
    FezzChunk, FezzPair, FezzPairs, FezzRequest, FezzResponse, FezzSlice, FezzStream, FezzTask, FezzWaker,
    OUTCOME_FAILED, OUTCOME_PANICKED, STREAM_END, STREAM_READY, TASK_READY,
};

use super::borrow;
use crate::handler::Function;
use crate::runtime::unpark_waker;

/// The parts of a request.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) route: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Bytes,
    /// The body's chunks, if it is a stream.
    pub(crate) chunks: Option<VecDeque<Bytes>>,
    pub(crate) request_id: String,
    pub(crate) traceparent: String,
    pub(crate) client_addr: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cancelled: bool,
}

/// A response, with its body collected.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u32,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// Why a call has no response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The function panicked; a client sees 500.
    #[error("the function panicked: {0}")]
    Panicked(String),
    /// The response could not be built; a client sees 500.
    #[error("the function failed: {0}")]
    Failed(String),
    /// The body was cut off by an error; a client's connection is reset.
    #[error("the function's body broke off: {0}")]
    BrokeOff(String),
    /// The call was cancelled at its deadline; a client sees 504.
    #[error("the function was not done at its deadline")]
    Deadline,
}

/// `request` is the first field, so that both have the same address.
#[repr(C)]
struct Mock {
    request: FezzRequest,
    stream: FezzStream,
    cancelled: AtomicU32,
    chunks: Mutex<VecDeque<Bytes>>,
    _params: Vec<FezzPair>,
    _headers: Vec<FezzPair>,
    _parts: Parts,
}

/// Calls `function` as a host would: an async one is polled, with its deadline.
pub(crate) fn call<F: Function<M>, M>(function: F, parts: Parts) -> Result<Answer, CallError> {
    let timeout = parts.timeout;
    let mock = Mock::new(parts);
    let request = Arc::as_ptr(&mock).cast::<FezzRequest>();
    if F::BLOCKING {
        let mut response = FezzResponse::EMPTY;
        // SAFETY: both outlive the call.
        unsafe { super::fetch_with(function, request, &raw mut response) };
        return read(response);
    }
    let mut task = Task(FezzTask::EMPTY);
    // SAFETY: the request outlives the task, which is dropped before `mock`.
    unsafe { super::fetch_async_with(function, request, &raw mut task.0) };
    let answer = task.wait(timeout);
    if answer.is_none() {
        mock.cancelled.store(1, Ordering::Relaxed);
    }
    drop(task);
    answer.map_or(Err(CallError::Deadline), read)
}

impl Mock {
    fn new(parts: Parts) -> Arc<Self> {
        let pairs = |list: &[(String, Vec<u8>)]| -> Vec<FezzPair> {
            list.iter().map(|(name, value)| pair(name.as_bytes(), value)).collect()
        };
        let params: Vec<_> =
            parts.params.iter().map(|(name, value)| pair(name.as_bytes(), value.as_bytes())).collect();
        let headers = pairs(&parts.headers);
        // The heap memory of strings and vectors does not move with them.
        let slice = |text: &str| FezzSlice::new(text.as_bytes());
        let request = FezzRequest {
            size: size_of::<FezzRequest>(),
            method: slice(&parts.method),
            path: slice(&parts.path),
            query: slice(&parts.query),
            route: slice(&parts.route),
            params: FezzPairs::new(&params),
            headers: FezzPairs::new(&headers),
            body: FezzSlice::new(&parts.body),
            body_stream: ptr::null(),
            request_id: slice(&parts.request_id),
            traceparent: slice(&parts.traceparent),
            client_addr: slice(&parts.client_addr),
            time_left_ns: parts.timeout.map_or(0, |left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX)),
            cancelled: ptr::null(),
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
        let stream = FezzStream {
            size: size_of::<FezzStream>(),
            ctx: ptr::null_mut(),
            next_chunk: Some(next_chunk),
            flags: 0,
            reserved: 0,
        };
        let is_streamed = parts.chunks.is_some();
        Arc::new_cyclic(|weak| {
            let address: *const Self = weak.as_ptr();
            let mut mock = Self {
                request,
                stream,
                cancelled: AtomicU32::new(u32::from(parts.cancelled)),
                chunks: Mutex::new(parts.chunks.clone().unwrap_or_default()),
                _params: params,
                _headers: headers,
                _parts: parts,
            };
            // The pointers lead to the final address; nothing is read through them before the value is there.
            mock.request.cancelled = address.wrapping_byte_add(std::mem::offset_of!(Self, cancelled)).cast();
            mock.stream.ctx = address.wrapping_byte_add(std::mem::offset_of!(Self, chunks)).cast_mut().cast();
            if is_streamed {
                mock.request.body_stream =
                    address.wrapping_byte_add(std::mem::offset_of!(Self, stream)).cast();
            }
            mock
        })
    }
}

fn pair(name: &[u8], value: &[u8]) -> FezzPair {
    FezzPair { name: FezzSlice::new(name), value: FezzSlice::new(value) }
}

unsafe extern "C" fn retain(request: *const FezzRequest) {
    // SAFETY: the pointer of `call`, which comes from an Arc.
    unsafe { Arc::increment_strong_count(request.cast::<Mock>()) };
}

unsafe extern "C" fn release(request: *const FezzRequest) {
    // SAFETY: as above; drops a reference that `retain` added.
    unsafe { Arc::decrement_strong_count(request.cast::<Mock>()) };
}

unsafe extern "C" fn next_chunk(ctx: *mut c_void, _: *const FezzWaker, chunk: *mut FezzChunk) -> u32 {
    // SAFETY: the chunks of a live request.
    let chunks = unsafe { &*ctx.cast::<Mutex<VecDeque<Bytes>>>() };
    let Some(data) = chunks.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
        return STREAM_END;
    };
    // SAFETY: the reader's struct for this chunk.
    unsafe { super::stream::write(chunk, data) };
    STREAM_READY
}

struct Task(FezzTask);

impl Task {
    /// Polls until the response is ready; none at the deadline.
    fn wait(&mut self, timeout: Option<Duration>) -> Option<FezzResponse> {
        let poll = self.0.poll?;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let waker = unpark_waker();
        let lent = lend(&waker);
        loop {
            let mut response = FezzResponse::EMPTY;
            // SAFETY: the task is not finished; waker and response outlive the call.
            if unsafe { poll(self.0.ctx, &raw const lent, &raw mut response) } == TASK_READY {
                return Some(response);
            }
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    thread::park_timeout(deadline.checked_duration_since(Instant::now())?);
                }
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(drop) = self.0.drop {
            // SAFETY: once.
            unsafe { drop(self.0.ctx) };
        }
    }
}

/// A C response, released when dropped.
struct Response(FezzResponse);

impl Drop for Response {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: once.
            unsafe { release(self.0.ctx) };
        }
    }
}

fn read(response: FezzResponse) -> Result<Answer, CallError> {
    let response = Response(response);
    let body = borrow(response.0.body);
    match response.0.outcome {
        OUTCOME_PANICKED => return Err(CallError::Panicked(String::from_utf8_lossy(body).into_owned())),
        OUTCOME_FAILED => return Err(CallError::Failed(String::from_utf8_lossy(body).into_owned())),
        _ => {}
    }
    let headers = super::pairs(response.0.headers).iter();
    let headers = headers.map(|pair| (borrow(pair.name).to_vec(), borrow(pair.value).to_vec())).collect();
    let body = if response.0.stream.is_null() { body.to_vec() } else { collect(response.0.stream)? };
    Ok(Answer { status: response.0.status, headers, body })
}

fn collect(stream: *const FezzStream) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    // SAFETY: its response is not released yet.
    let stream = unsafe { &*stream };
    let Some(next_chunk) = stream.next_chunk else { return Ok(body) };
    loop {
        let mut chunk = FezzChunk::EMPTY;
        // SAFETY: the only reader of the stream.
        let answer = unsafe { next_chunk(stream.ctx, ptr::null(), &raw mut chunk) };
        let data = borrow(chunk.data).to_vec();
        if let Some(release) = chunk.release {
            // SAFETY: once.
            unsafe { release(chunk.ctx) };
        }
        match answer {
            STREAM_READY => body.extend_from_slice(&data),
            STREAM_END => return Ok(body),
            _ => return Err(CallError::BrokeOff(String::from_utf8_lossy(&data).into_owned())),
        }
    }
}
