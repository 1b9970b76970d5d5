//! Reading a request's body within its limits of size, rate, time and memory: whole, or in pieces.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use fezz_isolation::host::{Budget, Reservation};
use fezz_runtime::ffi::{Pieces, strip_trailers};
use futures_util::task::AtomicWaker;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Frame;
use hyper::body::Body as _;
use tokio::time::{Instant, Sleep, sleep_until};

/// The minimum rate: in each window of `body_timeout` a body has to come at this rate. Only time in which the reader waits
/// for the client counts.
const BYTES_PER_SECOND: u64 = 1024;
/// How much memory a body gets at once because its head says so: a client need not send what it announces. A body that
/// announces no more is read before its call, even if the function would take a stream.
const AT_ONCE: u64 = 1 << 20;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request body is larger than the {limit} bytes that the function takes")]
    TooLarge { limit: u64 },
    #[error("the request body did not arrive in time; {received} bytes came")]
    Timeout { received: u64 },
    #[error("the request bodies that the host holds take all the memory that they may; try again later")]
    NoMemory,
    #[error("the call has ended before its request body")]
    Stopped,
    #[error("the request body broke off: {0}")]
    Broken(#[source] axum::Error),
}

/// How long a body may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyTimes {
    /// The window in which the minimum rate is measured.
    pub(crate) window: Duration,
    /// The time for a whole body that the host reads.
    pub(crate) whole: Duration,
}

/// A body that was read to its end.
#[derive(Debug, Default)]
pub(super) struct WholeBody {
    pub(super) data: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    /// Counts as long as the data is held.
    pub(super) memory: Option<Reservation>,
}

/// A body that is read piece by piece.
#[derive(Debug)]
pub(super) struct BodyReader {
    body: Body,
    limit: u64,
    /// By its head.
    announced: Option<u64>,
    received: u64,
    pace: Pace,
    times: BodyTimes,
    progress: Option<Arc<Progress>>,
}

/// A streamed body as its call sees it.
#[derive(Debug)]
pub(super) struct Progress {
    stopped: AtomicBool,
    /// Whether the function has answered: its client may then be silent, as in a conversation.
    answered: AtomicBool,
    reader: AtomicWaker,
    /// Why the client's body failed, if that is the answer to the call, whatever the function says.
    failure: Option<OnceLock<Failure>>,
}

/// What is the client's fault.
#[derive(Clone, Copy, Debug)]
enum Failure {
    TooLarge { limit: u64 },
    Timeout { received: u64 },
}

impl Progress {
    /// Whether a failure of the body is the host's to answer.
    pub(super) fn new(answers_failure: bool) -> Self {
        let (stopped, answered) = (AtomicBool::new(false), AtomicBool::new(false));
        let failure = answers_failure.then(OnceLock::new);
        Self { stopped, answered, reader: AtomicWaker::new(), failure }
    }

    /// Has the reader fail, now or when it reads again.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// The function has answered; an error if the host answers instead.
    pub(super) fn answered(&self) -> Result<(), BodyError> {
        self.answered.store(true, Ordering::Release);
        match self.failure.as_ref().and_then(OnceLock::get) {
            None => Ok(()),
            Some(Failure::TooLarge { limit }) => Err(BodyError::TooLarge { limit: *limit }),
            Some(Failure::Timeout { received }) => Err(BodyError::Timeout { received: *received }),
        }
    }

    fn poll_stopped(&self, cx: &Context<'_>) -> bool {
        self.reader.register(cx.waker());
        self.stopped.load(Ordering::Acquire)
    }

    fn fail(&self, error: &BodyError) {
        let failure = match *error {
            BodyError::TooLarge { limit } => Failure::TooLarge { limit },
            BodyError::Timeout { received } => Failure::Timeout { received },
            BodyError::NoMemory | BodyError::Stopped | BodyError::Broken(_) => return,
        };
        if let Some(cell) = &self.failure {
            let _ = cell.set(failure);
        }
    }
}

/// How long the client has kept its reader waiting.
#[derive(Debug)]
struct Pace {
    window: Duration,
    /// Within the present window.
    waited: Duration,
    /// How much had been received at its beginning.
    received: u64,
    waiting_since: Option<Instant>,
    /// Made when there is first something to wait for: a body that is there already never touches a timer.
    timer: Option<Pin<Box<Sleep>>>,
}

impl BodyReader {
    /// Fails where the head announces more than `limit` bytes. Its first poll has to be within a runtime.
    pub(super) fn new(
        body: Body,
        headers: &HeaderMap,
        limit: u64,
        times: BodyTimes,
    ) -> Result<Self, BodyError> {
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let pace = Pace {
            window: times.window,
            waited: Duration::ZERO,
            received: 0,
            waiting_since: None,
            timer: None,
        };
        Ok(Self { body, limit, announced, received: 0, pace, times, progress: None })
    }

    /// For a function that reads the body itself, on any thread: the timer is made now, since it belongs to this runtime.
    pub(super) fn streamed(mut self, progress: Arc<Progress>) -> Self {
        self.pace.timer = Some(Box::pin(sleep_until(Instant::now() + self.pace.window)));
        self.progress = Some(progress);
        self
    }

    /// Whether there is more to come than is read at once before a call.
    pub(super) fn is_long(&self) -> bool {
        !self.body.is_end_stream() && self.announced.is_none_or(|length| length > AT_ONCE)
    }

    /// The whole body, and the memory that it was given of what all bodies may take.
    pub(crate) async fn read(self, memory: &Arc<Budget>) -> Result<WholeBody, BodyError> {
        if self.body.is_end_stream() {
            return Ok(WholeBody::default());
        }
        let deadline = Instant::now() + self.times.whole;
        let mut received = 0;
        let read = self.gather(memory, &mut received);
        let read = tokio::time::timeout_at(deadline, read).await;
        read.unwrap_or(Err(BodyError::Timeout { received }))
    }

    async fn gather(mut self, memory: &Arc<Budget>, received: &mut u64) -> Result<WholeBody, BodyError> {
        let mut trailers = None;
        let mut whole = Gathered::Nothing;
        let mut reserved = memory.reserve(0).ok_or(BodyError::NoMemory)?;
        let expected = usize::try_from(self.announced.unwrap_or_default().min(AT_ONCE)).unwrap_or_default();
        while let Some(piece) = poll_fn(|cx| self.poll_next(cx)).await {
            let piece = match piece?.into_data() {
                Ok(piece) => piece,
                Err(frame) => {
                    trailers = frame.into_trailers().ok();
                    continue;
                }
            };
            if !reserved.grow(piece.len() as u64) {
                return Err(BodyError::NoMemory);
            }
            *received = self.received;
            whole = whole.and(piece, expected);
        }
        Ok(WholeBody { data: whole.into_bytes(), trailers, memory: Some(reserved) })
    }

    /// The next piece. Not called again after an end or an error.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.progress.as_ref().is_some_and(|progress| progress.poll_stopped(cx)) {
            return Poll::Ready(Some(Err(BodyError::Stopped)));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            if self.progress.as_ref().is_some_and(|progress| progress.answered.load(Ordering::Acquire)) {
                return Poll::Pending;
            }
            ready!(self.pace.poll_over(self.received, cx));
            return Poll::Ready(Some(Err(BodyError::Timeout { received: self.received })));
        };
        self.pace.stop();
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(BodyError::Broken).and_then(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                strip_trailers(trailers);
            }
            self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
            if self.received > self.limit {
                Err(BodyError::TooLarge { limit: self.limit })
            } else {
                Ok(frame)
            }
        });
        Poll::Ready(Some(frame))
    }
}

impl Pieces for BodyReader {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        self.poll_next(cx).map(|piece| {
            piece.map(|piece| {
                piece.map_err(|error| {
                    if let Some(progress) = &self.progress {
                        progress.fail(&error);
                    }
                    error.to_string()
                })
            })
        })
    }
}

impl Pace {
    /// The client has sent something.
    fn stop(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Ready when a window is over in which too little came. What came before earns no time: a client that has sent much
    /// may not be silent for longer.
    fn poll_over(&mut self, received: u64, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let over = since + self.window.saturating_sub(self.waited);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(over)));
            if timer.deadline() != over {
                timer.as_mut().reset(over);
            }
            ready!(timer.as_mut().poll(cx));
            if received - self.received < self.minimum() {
                return Poll::Ready(());
            }
            // The next window.
            self.received = received;
            self.waited = Duration::ZERO;
            self.waiting_since = Some(Instant::now());
        }
    }

    /// The bytes that a window needs; at least one.
    fn minimum(&self) -> u64 {
        let millis = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        (millis.saturating_mul(BYTES_PER_SECOND) / 1000).max(1)
    }
}

/// The pieces so far; a body of one piece is not copied.
enum Gathered {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    /// With memory for as much as is expected, once there is more than one piece.
    fn and(self, data: Bytes, expected: usize) -> Self {
        match self {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let both = first.len() + data.len();
                let mut whole = BytesMut::with_capacity(if expected < both { both * 2 } else { expected });
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&data);
                Self::Many(whole)
            }
            Self::Many(mut whole) => {
                whole.extend_from_slice(&data);
                Self::Many(whole)
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(data) => data,
            Self::Many(data) => data.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMES: BodyTimes = BodyTimes { window: Duration::from_secs(5), whole: Duration::from_secs(60) };

    /// A body of pieces, each after a pause, that then never ends; and what reading it comes to, and when.
    async fn read(
        pieces: &[(Duration, usize)],
        limit: u64,
        memory: &Arc<Budget>,
    ) -> (Result<usize, BodyError>, Duration) {
        let pieces = pieces.to_owned();
        let body = stream::unfold(pieces.into_iter(), |mut pieces| async {
            let Some((pause, length)) = pieces.next() else { std::future::pending().await };
            tokio::time::sleep(pause).await;
            Some((Ok::<_, Infallible>(Bytes::from(vec![b'x'; length])), pieces))
        });
        let begin = Instant::now();
        let reader = BodyReader::new(Body::from_stream(body), &HeaderMap::new(), limit, TIMES);
        let read = reader.expect("nothing is announced").read(memory).await;
        (read.map(|whole| whole.data.len()), begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_over_after_a_window_or_two_however_much_came_before() {
        for first in [0, 9_900_000] {
            let (end, took) = read(&[(SECOND, first)], 10_000_000, &Budget::new(1 << 30)).await;
            assert!(matches!(end, Err(BodyError::Timeout { .. })), "{end:?}");
            assert!(took <= 11 * SECOND, "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_the_rate_is_waited_for_until_the_deadline() {
        let (end, took) = read(&[(SECOND, 1500); 100], 1 << 20, &Budget::new(1 << 30)).await;
        assert!(matches!(end, Err(BodyError::Timeout { received }) if received > 80_000), "{end:?}");
        assert!(took >= 59 * SECOND && took <= 61 * SECOND, "{took:?}");
        let (end, took) = read(&[(SECOND, 500); 100], 1 << 20, &Budget::new(1 << 30)).await;
        assert!(matches!(end, Err(BodyError::Timeout { .. })) && took <= 6 * SECOND, "{end:?} {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_their_memory() {
        let memory = Budget::new(100_000);
        let _other = memory.reserve(1).expect("room");
        let (end, _) = read(&[(SECOND, 60_000), (SECOND, 60_000)], 1 << 20, &memory).await;
        assert!(matches!(end, Err(BodyError::NoMemory)), "{end:?}");
    }

    #[test]
    fn pieces_come_to_the_whole_whatever_was_announced() {
        for announced in [0, 3, 6, 100] {
            let pieces = ["ab", "cd", "ef"].map(Bytes::from);
            let whole =
                pieces.into_iter().fold(Gathered::Nothing, |whole, piece| whole.and(piece, announced));
            assert_eq!(whole.into_bytes(), "abcdef", "{announced} announced");
        }
    }
}
