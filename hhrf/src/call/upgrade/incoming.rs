//! What the client of an upgraded connection sends: the function reads it from the socket, when it asks for it.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fezz_runtime::ffi::Pieces;
use fezz_runtime::sys::crash_record;
use futures_util::task::AtomicWaker;
use http_body::Frame;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Runs;
use crate::function::Function;

/// The most that is read at once.
const PIECE: usize = 16 << 10;

pub(super) type Reader = ReadHalf<TokioIo<Upgraded>>;

/// The receiving half, shared by the function's stream and the pump.
#[derive(Debug)]
pub(super) struct Incoming {
    state: Mutex<State>,
    /// The function's, if it waits for more.
    reader: AtomicWaker,
    /// In a worker, the function hears of what its flag says with an empty piece: none is ever read.
    notice: AtomicBool,
    runs: Runs,
    /// Told when the function has dropped its stream.
    pub(super) released: Notify,
    pub(super) activity: Activity,
    function: Arc<Function>,
}

#[derive(Debug)]
enum State {
    /// The response with 101 is not sent yet. Goes to `Open` or `Ended`.
    Waiting,
    /// Goes to `Ended`.
    Open(Reader),
    Ended,
}

impl Incoming {
    /// With the stream for the function.
    pub(super) fn new(function: Arc<Function>, runs: Runs) -> (Arc<Self>, Stream) {
        let incoming = Arc::new(Self {
            state: Mutex::new(State::Waiting),
            reader: AtomicWaker::new(),
            notice: AtomicBool::new(false),
            runs,
            released: Notify::new(),
            activity: Activity::default(),
            function,
        });
        let stream = Stream(Arc::clone(&incoming));
        (incoming, stream)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client's bytes are here from now on, unless the stream has ended.
    pub(super) fn open(&self, reader: Reader) {
        let mut state = self.lock();
        if matches!(*state, State::Waiting) {
            *state = State::Open(reader);
        }
        drop(state);
        self.wake();
    }

    /// Ends the function's stream. What is left of the client's bytes can be read from the result.
    pub(super) fn end(&self) -> Option<Reader> {
        let before = std::mem::replace(&mut *self.lock(), State::Ended);
        self.wake();
        if let State::Open(reader) = before { Some(reader) } else { None }
    }

    /// Has the function look up from its waiting.
    pub(super) fn notify(&self) {
        self.notice.store(self.runs == Runs::InWorker, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        self.reader.wake();
    }

    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        if self.runs == Runs::InProcess {
            // So that a crash in one of its threads is known to be the function's.
            crash_record::adopt(self.function.number);
        }
        self.reader.register(cx.waker());
        if self.notice.load(Ordering::Relaxed) && self.notice.swap(false, Ordering::Acquire) {
            return Poll::Ready(Some(Ok(Bytes::new())));
        }
        let mut state = self.lock();
        let reader = match &mut *state {
            State::Waiting => return Poll::Pending,
            State::Open(reader) => reader,
            State::Ended => return Poll::Ready(None),
        };
        // Not kept while there is nothing to read: most connections are silent most of the time.
        let mut piece = BytesMut::with_capacity(PIECE);
        // `read_buf` has no state, so that each poll can make a new future.
        let count = match ready!(pin!(reader.read_buf(&mut piece)).poll(cx)) {
            Ok(0) => {
                *state = State::Ended;
                return Poll::Ready(None);
            }
            Err(error) => {
                *state = State::Ended;
                return Poll::Ready(Some(Err(error.to_string())));
            }
            Ok(count) => count,
        };
        drop(state);
        self.activity.now();
        self.function.stats.upgrade_received.inc_by(count as u64);
        Poll::Ready(Some(Ok(shortened(piece))))
    }
}

/// The same bytes; in memory of their own, if they would keep much more.
fn shortened(piece: BytesMut) -> Bytes {
    if piece.len() < PIECE / 4 { Bytes::copy_from_slice(&piece) } else { piece.freeze() }
}

/// The function's end.
#[derive(Debug)]
pub(super) struct Stream(Arc<Incoming>);

impl Pieces for Stream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        self.0.poll_read(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.released.notify_one();
    }
}

/// When something last passed, either way.
#[derive(Debug)]
pub(super) struct Activity {
    begin: Instant,
    /// In milliseconds since then.
    last: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self { begin: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl Activity {
    /// Something passes now.
    pub(super) fn now(&self) {
        let millis = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// Waits until nothing has passed for this long; for ever without a limit.
    pub(super) async fn idle(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return std::future::pending().await };
        loop {
            let due = self.begin + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}
