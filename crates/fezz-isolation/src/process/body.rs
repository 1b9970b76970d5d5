//! A streamed request body, or an upgraded connection: a thread reads it from the socket while the function runs, a few pieces ahead.
//!
//! The function may poll for a piece, and reading the socket would block. What the function leaves unread has to be read
//! too, since the next request comes after it.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fezz_runtime::ffi::Pieces;
use http_body::Frame;

use crate::protocol::{FrameHeader, FrameKind, HEADER_LEN, ProtocolError, decode_trailers};

/// How many pieces are read ahead of the function.
const READ_AHEAD: usize = 4;

/// The function's end of the channel.
#[derive(Debug)]
pub(super) struct BodyReceiver(Arc<Channel>);

/// The reading thread's end.
#[derive(Debug)]
pub(super) struct BodyFeeder(Arc<Channel>);

/// Discards the pieces that the function has not read.
#[derive(Debug)]
pub(super) struct DiscardHandle(Arc<Channel>);

#[derive(Debug, Default)]
struct Channel {
    state: Mutex<ChannelState>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct ChannelState {
    /// `None` is the end of the body, and so are trailers.
    pieces: VecDeque<Option<Result<Frame<Bytes>, String>>>,
    waker: Option<Waker>,
    discarded: bool,
}

pub(super) fn channel() -> (BodyReceiver, BodyFeeder, DiscardHandle) {
    let channel = Arc::<Channel>::default();
    (BodyReceiver(Arc::clone(&channel)), BodyFeeder(Arc::clone(&channel)), DiscardHandle(channel))
}

impl Channel {
    fn lock(&self) -> MutexGuard<'_, ChannelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a piece once the channel has room, and wakes the function.
    fn put(&self, piece: Option<Result<Frame<Bytes>, String>>) {
        let is_full = |state: &mut ChannelState| state.pieces.len() >= READ_AHEAD && !state.discarded;
        let mut state = self.room.wait_while(self.lock(), is_full).unwrap_or_else(PoisonError::into_inner);
        if !state.discarded {
            state.pieces.push_back(piece);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Pieces for BodyReceiver {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let mut state = self.0.lock();
        if let Some(piece) = state.pieces.pop_front() {
            self.0.room.notify_one();
            if matches!(&piece, Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty)) {
                // The host has changed the call's flag: the function looks at it when it is woken.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(piece);
        }
        if state.discarded {
            return Poll::Ready(Some(Err("the call has ended".to_owned())));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl BodyFeeder {
    /// Reads the body of this call to its end.
    pub(super) fn feed(self, source: &mut BufReader<UnixStream>, id: u32) -> io::Result<()> {
        loop {
            let mut bytes = [0; HEADER_LEN];
            source.read_exact(&mut bytes)?;
            let header = FrameHeader::decode(&bytes)
                .and_then(|header| header.of_call(id))
                .map_err(io::Error::other)?;
            let mut payload = vec![0; header.length];
            source.read_exact(&mut payload)?;
            match header.kind {
                FrameKind::Chunk => self.0.put(Some(Ok(Frame::data(payload.into())))),
                FrameKind::End => {
                    let trailers = decode_trailers(payload.into()).map_err(io::Error::other)?;
                    self.0.put(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                    return Ok(());
                }
                FrameKind::Broken => {
                    self.0.put(Some(Err(String::from_utf8_lossy(&payload).into_owned())));
                    return Ok(());
                }
                found => {
                    let expected = "a piece of the body";
                    return Err(io::Error::other(ProtocolError::Unexpected { found, expected }));
                }
            }
        }
    }
}

impl DiscardHandle {
    pub(super) fn discard(&self) {
        let mut state = self.0.lock();
        state.discarded = true;
        state.pieces.clear();
        let waker = state.waker.take();
        drop(state);
        self.0.room.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for BodyFeeder {
    fn drop(&mut self) {
        // If the host closed the connection within the body, the function gets an error.
        let mut state = self.0.lock();
        let ended = state.pieces.iter().any(|piece| !matches!(piece, Some(Ok(frame)) if frame.is_data()));
        if !ended && !state.discarded {
            state.pieces.push_back(Some(Err("the host closed the connection".to_owned())));
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
