//! A call as a function reads it. Miri runs these tests: see `just miri`.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use fezz_abi::bridge::lend;
use fezz_abi::{FezzChunk, FezzStream, STREAM_END, STREAM_ERROR, STREAM_PENDING, STREAM_READY};

use super::*;
use http_body::Frame;

use crate::ffi::Pieces;

const fn is_send_and_sync<T: Send + Sync>() {}

const fn call_is_send_and_sync<S: Send + Sync>() {
    is_send_and_sync::<Call<S>>();
}

const _: () = call_is_send_and_sync::<TestRequest>();

/// A request with parts inline and on the heap. Sets `dropped` when it is dropped.
#[derive(Debug)]
struct TestRequest {
    method: [u8; 4],
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    cancelled: AtomicU32,
    dropped: Arc<AtomicBool>,
}

impl RequestSource for TestRequest {
    fn method(&self) -> &[u8] {
        &self.method
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn query(&self) -> &[u8] {
        b"page=2"
    }

    fn route(&self) -> &[u8] {
        b"/todos/{id}"
    }

    fn request_id(&self) -> &[u8] {
        b"an-id"
    }

    fn traceparent(&self) -> &[u8] {
        b""
    }

    fn client_addr(&self) -> &[u8] {
        b"127.0.0.1:51234"
    }

    fn params(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        to(b"id", &self.path.as_bytes()[7..]);
    }

    fn headers(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        self.headers.iter().for_each(|(name, value)| to(name.as_bytes(), value));
    }

    fn max_headers(&self) -> usize {
        self.headers.len()
    }

    fn cancelled(&self) -> &AtomicU32 {
        &self.cancelled
    }
}

impl Drop for TestRequest {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

fn call(body: CallBody) -> (Call<TestRequest>, Arc<AtomicBool>) {
    let dropped = Arc::<AtomicBool>::default();
    let source = TestRequest {
        method: *b"POST",
        path: "/todos/7".to_owned(),
        headers: vec![("accept".to_owned(), b"*/*".to_vec()), ("x-bytes".to_owned(), vec![0xff, 0])],
        cancelled: AtomicU32::new(0),
        dropped: Arc::clone(&dropped),
    };
    (Call::new(source, body), dropped)
}

fn whole() -> CallBody {
    CallBody::Whole(Bytes::from(b"a body".to_vec()))
}

/// What a function does with a slice.
fn bytes<'a>(slice: FezzSlice) -> &'a [u8] {
    // SAFETY: a slice of a request that the test keeps alive.
    unsafe { slice.as_bytes() }
}

fn pairs<'a>(pairs: FezzPairs) -> Vec<(&'a [u8], &'a [u8])> {
    // SAFETY: pairs of a request that the test keeps alive.
    let pairs = unsafe { pairs.as_slice() };
    pairs.iter().map(|pair| (bytes(pair.name), bytes(pair.value))).collect()
}

#[test]
fn the_function_reads_every_part_of_the_request() {
    let (call, _) = call(whole());
    // SAFETY: `call` lives until the end of the test.
    let request = unsafe { &*call.begin(Some(Duration::from_millis(5))) };
    assert_eq!(request.size, size_of::<FezzRequest>());
    assert_eq!((bytes(request.method), bytes(request.path)), (&b"POST"[..], &b"/todos/7"[..]));
    assert_eq!((bytes(request.query), bytes(request.route)), (&b"page=2"[..], &b"/todos/{id}"[..]));
    assert_eq!((bytes(request.request_id), bytes(request.traceparent)), (&b"an-id"[..], &b""[..]));
    assert_eq!(bytes(request.client_addr), b"127.0.0.1:51234");
    assert_eq!(pairs(request.params), [(&b"id"[..], &b"7"[..])]);
    assert_eq!(pairs(request.headers), [(&b"accept"[..], &b"*/*"[..]), (&b"x-bytes"[..], &b"\xff\0"[..])]);
    assert_eq!(bytes(request.body), b"a body");
    assert!(request.body_stream.is_null());
    assert_eq!(request.time_left_ns, 5_000_000);
}

#[test]
fn a_call_without_a_deadline_has_no_time_left() {
    let (call, _) = call(whole());
    // SAFETY: `call` lives until the end of the test.
    assert_eq!(unsafe { (*call.begin(None)).time_left_ns }, 0);
}

#[test]
fn the_function_sees_the_cancellation() {
    let (call, _) = call(whole());
    // SAFETY: `call` lives until the end of the test.
    let request = unsafe { &*call.begin(None) };
    // SAFETY: as above.
    let cancelled = unsafe { &*request.cancelled };
    assert_eq!(cancelled.load(Ordering::Relaxed), 0);
    call.source().cancel();
    assert_eq!(cancelled.load(Ordering::Relaxed), 1);
}

#[test]
fn a_retained_request_outlives_the_call() {
    let (call, dropped) = call(whole());
    let pointer = call.begin(None);
    // SAFETY: `call` is alive.
    let FezzRequest { retain, release, .. } = unsafe { &*pointer };
    // SAFETY: as above.
    unsafe { retain(pointer) };
    drop(call);
    // SAFETY: the request is retained.
    let request = unsafe { &*pointer };
    assert_eq!((bytes(request.method), bytes(request.body)), (&b"POST"[..], &b"a body"[..]));
    assert_eq!(pairs(request.headers).len(), 2);
    assert!(!dropped.load(Ordering::Relaxed));
    // SAFETY: releases what was retained; the request is not used any more.
    unsafe { release(pointer) };
    assert!(dropped.load(Ordering::Relaxed));
}

#[test]
fn a_request_can_be_released_on_another_thread() {
    let (call, dropped) = call(whole());
    let pointer = call.begin(None);
    // SAFETY: `call` is alive.
    let FezzRequest { retain, release, .. } = unsafe { &*pointer };
    // SAFETY: as above.
    unsafe { retain(pointer) };
    drop(call);
    let pointer = AtomicPtr::new(pointer.cast_mut());
    // SAFETY: releases what was retained; the request is not used any more.
    let released = std::thread::spawn(move || unsafe { release(pointer.into_inner()) });
    released.join().unwrap();
    assert!(dropped.load(Ordering::Relaxed));
}

/// A body of one piece, which is not there at the first poll, and of an error.
#[derive(Debug)]
struct TestPieces(u32);

impl Pieces for TestPieces {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        self.0 += 1;
        match self.0 {
            1 => Poll::Pending,
            2 => Poll::Ready(Some(Ok(Frame::data(Bytes::from(b"a piece".to_vec()))))),
            3 => Poll::Ready(Some(Err("broken".to_owned()))),
            _ => Poll::Ready(None),
        }
    }
}

/// A body that is nothing but trailers.
#[derive(Debug)]
struct TestTrailers;

impl Pieces for TestTrailers {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let trailers = http::HeaderMap::from_iter([(http::header::AGE, http::HeaderValue::from_static("7"))]);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

#[test]
fn a_streamed_body_ends_with_trailers_where_the_reader_knows_them() {
    let (call, _) = call(CallBody::Stream(Box::new(TestTrailers)));
    // SAFETY: `call` lives until the end of the test.
    let request = unsafe { &*call.begin(None) };
    // SAFETY: as above.
    let &FezzStream { ctx, next_chunk, .. } = unsafe { &*request.body_stream };
    let next_chunk = next_chunk.unwrap();
    for (size, expected) in [(size_of::<FezzChunk>(), 1), (std::mem::offset_of!(FezzChunk, trailers), 0)] {
        let mut chunk = FezzChunk { size, ..FezzChunk::EMPTY };
        // SAFETY: the stream's own context; the chunk lives until it returns.
        let answer = unsafe { next_chunk(ctx, std::ptr::null(), &raw mut chunk) };
        assert_eq!((answer, chunk.trailers.len), (STREAM_END, expected));
        // SAFETY: valid until the release.
        for pair in unsafe { chunk.trailers.as_slice() } {
            assert_eq!((bytes(pair.name), bytes(pair.value)), (&b"age"[..], &b"7"[..]));
        }
        assert_eq!(chunk.release.is_some(), expected == 1);
        if let Some(release) = chunk.release {
            // SAFETY: called once, with the context that belongs to it.
            unsafe { release(chunk.ctx) };
        }
    }
}

#[test]
fn the_function_pulls_a_streamed_body() {
    let (call, _) = call(CallBody::Stream(Box::new(TestPieces(0))));
    // SAFETY: `call` lives until the end of the test.
    let request = unsafe { &*call.begin(None) };
    assert_eq!(bytes(request.body), b"");
    // SAFETY: as above.
    let &FezzStream { ctx, next_chunk, .. } = unsafe { &*request.body_stream };
    let next_chunk = next_chunk.unwrap();
    let waker = lend(Waker::noop());
    let pull = || {
        let mut chunk = FezzChunk::EMPTY;
        // SAFETY: the stream's own context; waker and chunk live until it returns.
        let answer = unsafe { next_chunk(ctx, &raw const waker, &raw mut chunk) };
        let data = bytes(chunk.data).to_vec();
        if let Some(release) = chunk.release {
            // SAFETY: called once, with the context that belongs to it.
            unsafe { release(chunk.ctx) };
        }
        (answer, data)
    };
    assert_eq!(pull(), (STREAM_PENDING, Vec::new()));
    assert_eq!(pull(), (STREAM_READY, b"a piece".to_vec()));
    assert_eq!(pull(), (STREAM_ERROR, b"broken".to_vec()));
    assert_eq!(pull(), (STREAM_END, Vec::new()));
}
