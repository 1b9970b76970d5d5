//! The body of a worker's answer, as the caller reads it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fezz_runtime::ffi::{Piece, StreamError};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

/// The body of an answer.
#[derive(Debug)]
pub enum WorkerBody {
    /// The whole body.
    Whole(Bytes),
    /// Pieces, as the worker sends them.
    Stream(StreamBody),
}

/// A streamed body.
#[derive(Debug)]
pub struct StreamBody {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
    /// What is left of a body of known length.
    left: Option<u64>,
}

impl StreamBody {
    pub(super) const fn new(pieces: mpsc::Receiver<Piece>, length: Option<u64>) -> Self {
        Self { pieces, ended: false, left: length }
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        this.pieces.poll_recv(cx).map(|piece| {
            // A channel that closes without an end means a truncated body.
            let piece = piece.unwrap_or(Some(Err(StreamError::Lost)));
            this.ended = !matches!(&piece, Some(Ok(frame)) if frame.is_data());
            if let (Some(left), Some(Ok(frame))) = (&mut this.left, &piece) {
                *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
            }
            piece
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
