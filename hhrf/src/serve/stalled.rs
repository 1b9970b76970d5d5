//! Bodies of HTTP/2 streams whose clients take nothing.
//!
//! A client can hold on to a connection, answer its pings, and grant no credit for a stream: hyper does not ask for the next
//! piece of its body then, and the connection as a whole is not stalled. So a body from which nothing is asked for the
//! write timeout is dropped, and with it the call that makes it. It is handed out in small pieces, so that asking for the
//! next one means that the last one was taken.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

/// The longest piece.
const PIECE: usize = 16 << 10;

/// A body that is dropped when its client takes nothing of it.
pub(super) struct Stallable<B>(Arc<Mutex<State<B>>>);

struct State<B> {
    /// None once it was dropped.
    body: Option<B>,
    /// What is left of the last piece.
    rest: Bytes,
    /// Since when the client has been offered a piece, and no further one was asked for.
    offered: Option<Instant>,
}

/// The client takes nothing.
#[derive(Debug, thiserror::Error)]
#[error("the client took nothing of the response for the write timeout")]
struct Stalled;

impl<B: Body<Data = Bytes> + Send + 'static> Stallable<B> {
    /// The body of a stream, or `body` itself if it is so short that it is taken at once.
    pub(super) fn new(body: B, patience: Duration) -> Result<Self, B> {
        if body.size_hint().upper().is_some_and(|length| length <= PIECE as u64) {
            return Err(body);
        }
        let state = State { body: Some(body), rest: Bytes::new(), offered: None };
        let state = Arc::new(Mutex::new(state));
        tokio::spawn(watch(Arc::downgrade(&state), patience));
        Ok(Self(state))
    }
}

impl<B> Stallable<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the body when it has stalled; ends with it.
async fn watch<B>(state: Weak<Mutex<State<B>>>, patience: Duration) {
    let mut due = Instant::now() + patience;
    loop {
        sleep_until(due).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        due = state.offered.map_or(now, |since| since) + patience;
        if due <= now {
            state.rest = Bytes::new();
            // Dropped without the lock: it ends a call.
            let body = state.body.take();
            drop(state);
            drop(body);
            return;
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Stallable<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.lock();
        let state = &mut *state;
        state.offered = None;
        if state.rest.is_empty() {
            let Some(body) = &mut state.body else { return Poll::Ready(Some(Err(Stalled.into()))) };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => state.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end.map(|frame| frame.map_err(Into::into))),
            }
        }
        let length = state.rest.len().min(PIECE);
        let piece = state.rest.split_to(length);
        state.offered = Some(Instant::now());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.lock();
        state.rest.is_empty() && state.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.lock();
        let rest = state.rest.len() as u64;
        let body = state.body.as_ref().map(Body::size_hint).unwrap_or_default();
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(body.lower() + rest);
        hint
    }
}
