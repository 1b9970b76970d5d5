//! What a function writes to an upgraded connection: a bounded buffer, and the stream through which the host takes it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use super::Signal;
use crate::entry::RequestRef;

/// No more than this waits for a client that does not read.
const ROOM: usize = 64 << 10;

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    /// Waits for bytes.
    reader: Option<Waker>,
    /// Waits for room.
    writer: Option<Waker>,
    /// The function writes nothing more.
    ended: bool,
    /// The host takes nothing more.
    gone: bool,
}

/// The buffer, shared by both ends.
#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<State>);

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as much as there is room for.
    pub(super) fn poll_write(&self, bytes: &[u8], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.gone || state.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(ROOM - state.bytes.len());
        if count == 0 && !bytes.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.bytes.extend_from_slice(&bytes[..count]);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Poll::Ready(Ok(count))
    }

    /// The function writes nothing more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }
}

/// Without the lock: it may run what waits.
fn wake(waiting: Option<Waker>) {
    if let Some(waker) = waiting {
        waker.wake();
    }
}

/// The host's end: the body of the response with 101.
#[derive(Debug)]
pub(super) struct Pull {
    outbox: Arc<Outbox>,
    request: RequestRef,
    signal: Arc<Signal>,
}

impl Pull {
    pub(super) const fn new(outbox: Arc<Outbox>, request: RequestRef, signal: Arc<Signal>) -> Self {
        Self { outbox, request, signal }
    }
}

impl Stream for Pull {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.signal.follow(&self.request);
        let mut state = self.outbox.lock();
        if state.bytes.is_empty() {
            if state.ended {
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = state.bytes.split().freeze();
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        let mut state = self.outbox.lock();
        state.gone = true;
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }
}
