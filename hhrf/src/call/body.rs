//! Reading a request's body within its size limit and minimum rate: whole, or in pieces.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use fezz_runtime::ffi::Pieces;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use hyper::body::Body as _;
use tokio::time::{Instant, Sleep, sleep_until};

/// The minimum rate: a body gets the grace time and a second more for each of these many bytes. Only time in which the
/// reader waits for the client counts.
const BYTES_PER_SECOND: u64 = 1024;
/// How much memory a body gets at once because its head says so: a client need not send what it announces.
const AT_ONCE: u64 = 1 << 20;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request body is larger than the {limit} bytes that the function takes")]
    TooLarge { limit: u64 },
    #[error("the request body did not arrive in time; {received} bytes came")]
    Timeout { received: u64 },
    #[error("the request body broke off: {0}")]
    Broken(#[source] axum::Error),
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
}

/// How long the client has kept its reader waiting.
#[derive(Debug)]
struct Pace {
    grace: Duration,
    waited: Duration,
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
        grace: Duration,
    ) -> Result<Self, BodyError> {
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let pace = Pace { grace, waited: Duration::ZERO, waiting_since: None, timer: None };
        Ok(Self { body, limit, announced, received: 0, pace })
    }

    /// Creates the timer now: it belongs to this runtime, also if another thread polls.
    pub(super) fn with_timer(mut self) -> Self {
        self.pace.timer = Some(Box::pin(sleep_until(Instant::now() + self.pace.grace)));
        self
    }

    /// The whole body.
    pub(crate) async fn read(mut self) -> Result<Bytes, BodyError> {
        let mut whole = Gathered::Nothing;
        let expected = usize::try_from(self.announced.unwrap_or_default().min(AT_ONCE)).unwrap_or_default();
        if self.body.is_end_stream() {
            return Ok(Bytes::new());
        }
        while let Some(piece) = poll_fn(|cx| self.poll_next(cx)).await {
            whole = whole.and(piece?, expected);
        }
        Ok(whole.into_bytes())
    }

    /// The next piece. Not called again after an end or an error.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                ready!(self.pace.poll_over(self.received, cx));
                return Poll::Ready(Some(Err(BodyError::Timeout { received: self.received })));
            };
            self.pace.stop();
            let Some(frame) = frame else { return Poll::Ready(None) };
            let frame = match frame.map_err(BodyError::Broken) {
                Ok(frame) => frame,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            // Trailers are not passed on.
            let Ok(data) = frame.into_data() else { continue };
            self.received += data.len() as u64;
            if self.received > self.limit {
                return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit })));
            }
            return Poll::Ready(Some(Ok(data)));
        }
    }
}

impl Pieces for BodyReader {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        self.poll_next(cx).map(|piece| piece.map(|piece| piece.map_err(|error| error.to_string())))
    }
}

impl Pace {
    /// The client has sent something.
    fn stop(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Ready when the client's time is over.
    fn poll_over(&mut self, received: u64, cx: &mut Context<'_>) -> Poll<()> {
        let earned = Duration::from_secs(received / BYTES_PER_SECOND);
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let over = since + (self.grace + earned).saturating_sub(self.waited);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(over)));
        if timer.deadline() != over {
            timer.as_mut().reset(over);
        }
        timer.as_mut().poll(cx)
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
    use super::*;

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
