//! An answer's body that a worker makes while the client takes it.
//!
//! Pieces go through a channel with room for one, and the worker's socket has room for some more: then the function
//! waits for the client. When the client goes, the function is told, and what it has made already is passed over.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

use super::Inner;
use super::call::Ticket;
use super::slot::{ExchangeError, Slot};
use super::upload::Upload;
use super::worker::Kill;
use crate::ffi::{CallParts, Piece, StreamError};
use crate::worker::{Kind, ProtocolError};

/// How long a function may go on making a body after its client has left.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// A call whose head was answered.
#[derive(Debug)]
pub(super) struct Streaming {
    slot: Slot,
    id: u32,
    upload: Option<Upload>,
    begin: Instant,
}

/// How a body ended.
enum End {
    Complete,
    /// The client has left.
    Abandoned,
    Broken(String),
    Failed(ExchangeError),
}

impl Streaming {
    pub(super) fn new(slot: Slot, id: u32, upload: Option<Upload>) -> Self {
        Self { slot, id, upload, begin: Instant::now() }
    }

    /// The body, and where its pieces go.
    pub(super) fn channel() -> (mpsc::Sender<Piece>, StreamBody) {
        let (sender, pieces) = mpsc::channel(1);
        (sender, StreamBody { pieces, ended: false })
    }

    /// Passes the body on, to its end.
    pub(super) async fn run(
        mut self,
        inner: &Arc<Inner>,
        parts: &CallParts,
        ticket: &Ticket,
        sender: mpsc::Sender<Piece>,
    ) {
        let reason = match self.pass_on(&sender).await {
            End::Complete => {
                ticket.end();
                self.give_back(inner).await;
                // Last, so that who has it may call again at once.
                let _ = sender.send(None).await;
                return;
            }
            End::Abandoned => {
                self.slot.worker.flag(self.id).store(1, Ordering::Relaxed);
                let rest = tokio::time::timeout(AFTERWARDS, self.pass_over()).await;
                ticket.end();
                match rest {
                    Ok(Ok(())) => self.give_back(inner).await,
                    // Nobody was harmed: it is ended, and another one started when it is needed.
                    Ok(Err(_)) | Err(_) => self.slot.worker.kill(Kill::Retired),
                }
                return;
            }
            End::Broken(reason) => {
                ticket.end();
                self.give_back(inner).await;
                reason
            }
            End::Failed(error) => {
                ticket.end();
                inner.broken(self.slot, error, self.begin).await.to_string()
            }
        };
        let error = StreamError::Function(reason);
        let request_id = parts.head.id().to_owned();
        parts.function.stats.errors.inc();
        tracing::error!(
            function = parts.function.name(),
            request_id,
            "{error}; the client's connection is cut"
        );
        let _ = sender.send(Some(Err(error))).await;
    }

    async fn pass_on(&mut self, sender: &mpsc::Sender<Piece>) -> End {
        loop {
            let frame = tokio::select! {
                frame = self.slot.frames.of_call(self.id) => frame,
                () = sender.closed() => return End::Abandoned,
            };
            let (header, payload) = match frame {
                Ok(frame) => frame,
                Err(error) => return End::Failed(error),
            };
            match header.kind {
                Kind::Chunk => {
                    if sender.send(Some(Ok(payload))).await.is_err() {
                        return End::Abandoned;
                    }
                }
                Kind::End => return End::Complete,
                Kind::Broken => return End::Broken(String::from_utf8_lossy(&payload).into_owned()),
                found => {
                    let expected = "a piece of the body";
                    return End::Failed(ProtocolError::Unexpected { found, expected }.into());
                }
            }
        }
    }

    /// Reads what nobody wants, to the end.
    async fn pass_over(&mut self) -> Result<(), ExchangeError> {
        loop {
            let (header, _) = self.slot.frames.of_call(self.id).await?;
            if matches!(header.kind, Kind::End | Kind::Broken) {
                return Ok(());
            }
        }
    }

    async fn give_back(mut self, inner: &Arc<Inner>) {
        if let Some(upload) = self.upload.take()
            && let Err(error) = upload.end(&mut self.slot).await
        {
            self.slot.worker.kill(Kill::Protocol(error.to_string()));
            return;
        }
        inner.finish(self.slot);
    }
}

/// The client's end.
#[derive(Debug)]
pub(super) struct StreamBody {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
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
        self.pieces.poll_recv(cx).map(|piece| {
            // A channel that closes without a word is no end of the body.
            let piece = piece.unwrap_or(Some(Err(StreamError::Lost)));
            self.ended = !matches!(piece, Some(Ok(_)));
            piece.map(|piece| piece.map(Frame::data))
        })
    }
}
