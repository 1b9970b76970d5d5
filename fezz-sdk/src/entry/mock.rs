//! The host's part, played by a test: a request of its own memory, and an answer read as a host reads it.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fezz_abi::bridge::lend;
use fezz_abi::{
    FezzChunk, FezzPair, FezzPairs, FezzRequest, FezzResponse, FezzSlice, FezzStream, FezzTask, FezzWaker,
    OUTCOME_FAILED, OUTCOME_PANICKED, STREAM_END, STREAM_READY, TASK_READY,
};

use super::borrow;
use crate::handler::Function;

/// What a request is made of.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) route: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Bytes,
    /// The body's pieces, where it is a stream.
    pub(crate) pieces: Option<VecDeque<Bytes>>,
    pub(crate) request_id: String,
    pub(crate) traceparent: String,
    pub(crate) client_addr: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cancelled: bool,
}

/// An answer, with its body gathered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u32,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    Panicked(String),
    Failed(String),
    BrokeOff(String),
    Deadline,
}

/// `request` stands first, so that its address is that of the whole.
#[repr(C)]
struct Mock {
    request: FezzRequest,
    stream: FezzStream,
    cancelled: AtomicU32,
    pieces: Mutex<VecDeque<Bytes>>,
    _params: Vec<FezzPair>,
    _headers: Vec<FezzPair>,
    _parts: Parts,
}

/// Calls `function` as a host would: in place and with a deadline where it is async.
pub(crate) fn call<F: Function<M>, M>(function: F, parts: Parts) -> Result<Answer, NoAnswer> {
    let timeout = parts.timeout;
    let mock = Mock::new(parts);
    let request = Arc::as_ptr(&mock).cast::<FezzRequest>();
    if F::BLOCKING {
        let mut response = FezzResponse::EMPTY;
        // SAFETY: both live until it returns.
        unsafe { super::fetch(function, request, &raw mut response) };
        return read(response);
    }
    let mut task = Task(FezzTask::EMPTY);
    // SAFETY: the request lives until the task is dropped, which is before `mock` is.
    unsafe { super::fetch_async(function, request, &raw mut task.0) };
    let answer = task.wait(timeout);
    if answer.is_none() {
        mock.cancelled.store(1, Ordering::Relaxed);
    }
    drop(task);
    answer.map_or(Err(NoAnswer::Deadline), read)
}

impl Mock {
    fn new(parts: Parts) -> Arc<Self> {
        let pairs = |list: &[(String, Vec<u8>)]| -> Vec<FezzPair> {
            list.iter().map(|(name, value)| pair(name.as_bytes(), value)).collect()
        };
        let params: Vec<_> =
            parts.params.iter().map(|(name, value)| pair(name.as_bytes(), value.as_bytes())).collect();
        let headers = pairs(&parts.headers);
        // Text and vectors keep their place when they are moved into the mock.
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
        };
        let stream = FezzStream {
            size: size_of::<FezzStream>(),
            ctx: ptr::null_mut(),
            next_chunk: Some(next_chunk),
            flags: 0,
            reserved: 0,
        };
        let streams = parts.pieces.is_some();
        Arc::new_cyclic(|weak| {
            let place: *const Self = weak.as_ptr();
            let mut mock = Self {
                request,
                stream,
                cancelled: AtomicU32::new(u32::from(parts.cancelled)),
                pieces: Mutex::new(parts.pieces.clone().unwrap_or_default()),
                _params: params,
                _headers: headers,
                _parts: parts,
            };
            // The pointers lead into the place where all of it will be; nothing is read through them before.
            mock.request.cancelled = place.wrapping_byte_add(std::mem::offset_of!(Self, cancelled)).cast();
            mock.stream.ctx = place.wrapping_byte_add(std::mem::offset_of!(Self, pieces)).cast_mut().cast();
            if streams {
                mock.request.body_stream = place.wrapping_byte_add(std::mem::offset_of!(Self, stream)).cast();
            }
            mock
        })
    }
}

fn pair(name: &[u8], value: &[u8]) -> FezzPair {
    FezzPair { name: FezzSlice::new(name), value: FezzSlice::new(value) }
}

unsafe extern "C" fn retain(request: *const FezzRequest) {
    // SAFETY: the pointer of `call`, which is an Arc's.
    unsafe { Arc::increment_strong_count(request.cast::<Mock>()) };
}

unsafe extern "C" fn release(request: *const FezzRequest) {
    // SAFETY: as above, and it takes back a count of its own.
    unsafe { Arc::decrement_strong_count(request.cast::<Mock>()) };
}

unsafe extern "C" fn next_chunk(ctx: *mut c_void, _: *const FezzWaker, chunk: *mut FezzChunk) -> u32 {
    // SAFETY: the pieces of a request that is alive.
    let pieces = unsafe { &*ctx.cast::<Mutex<VecDeque<Bytes>>>() };
    let Some(piece) = pieces.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
        return STREAM_END;
    };
    let piece = Box::new(piece);
    // SAFETY: the reader's struct for this answer.
    unsafe { (*chunk).data = FezzSlice::new(&piece) };
    // SAFETY: as above.
    unsafe { (*chunk).release = Some(super::release::<Bytes>) };
    // SAFETY: as above.
    unsafe { (*chunk).ctx = Box::into_raw(piece).cast() };
    STREAM_READY
}

struct Task(FezzTask);

impl Task {
    /// Polls until the answer is there; none at the deadline.
    fn wait(&mut self, timeout: Option<Duration>) -> Option<FezzResponse> {
        struct Unpark(Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        let poll = self.0.poll?;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let cx = Context::from_waker(&waker);
        loop {
            let lent = lend(cx.waker());
            let mut response = FezzResponse::EMPTY;
            // SAFETY: the task is not finished; waker and response live until it returns.
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

/// A response, released when dropped.
struct Response(FezzResponse);

impl Drop for Response {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: once.
            unsafe { release(self.0.ctx) };
        }
    }
}

fn read(response: FezzResponse) -> Result<Answer, NoAnswer> {
    let response = Response(response);
    let body = borrow(response.0.body);
    match response.0.outcome {
        OUTCOME_PANICKED => return Err(NoAnswer::Panicked(String::from_utf8_lossy(body).into_owned())),
        OUTCOME_FAILED => return Err(NoAnswer::Failed(String::from_utf8_lossy(body).into_owned())),
        _ => {}
    }
    let headers = super::pairs(response.0.headers).iter();
    let headers = headers.map(|pair| (borrow(pair.name).to_vec(), borrow(pair.value).to_vec())).collect();
    let body = if response.0.stream.is_null() { body.to_vec() } else { gather(response.0.stream)? };
    Ok(Answer { status: response.0.status, headers, body })
}

fn gather(stream: *const FezzStream) -> Result<Vec<u8>, NoAnswer> {
    let mut whole = Vec::new();
    // SAFETY: the response that it belongs to is not released yet.
    let stream = unsafe { &*stream };
    let Some(next_chunk) = stream.next_chunk else { return Ok(whole) };
    loop {
        let mut chunk = FezzChunk::EMPTY;
        // SAFETY: nobody else reads the stream.
        let answer = unsafe { next_chunk(stream.ctx, ptr::null(), &raw mut chunk) };
        let data = borrow(chunk.data).to_vec();
        if let Some(release) = chunk.release {
            // SAFETY: once.
            unsafe { release(chunk.ctx) };
        }
        match answer {
            STREAM_READY => whole.extend_from_slice(&data),
            STREAM_END => return Ok(whole),
            _ => return Err(NoAnswer::BrokeOff(String::from_utf8_lossy(&data).into_owned())),
        }
    }
}
