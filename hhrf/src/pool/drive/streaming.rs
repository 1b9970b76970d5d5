//! An answer's body that a worker makes while the client takes it.
//!
//! Pieces go through a channel with room for one, and the worker's socket has room for some more: then the function
//! waits for the client. When the client goes, the function is told, and what it has made already is passed over.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

use super::Drive;
use super::lost::{Lost, end_of};
use super::upload::Upload;
use crate::ffi::{CallParts, Piece, Reply, ReplyError, StreamError};
use crate::pool::call::{CallError, Request};
use crate::pool::slot::ExchangeError;
use crate::pool::worker::Kill;
use crate::worker::{Kind, ProtocolError};

/// How long a function may go on making a body after its client has left.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// How a body ended.
enum End {
    Complete,
    /// The client has left.
    Abandoned,
    Broken(String),
    Failed(ExchangeError),
}

impl Drive {
    /// Answers with a body that the function makes, and passes it on to its end.
    pub(super) async fn stream(
        &mut self,
        request: Request,
        id: u32,
        reply: Reply<()>,
        upload: Option<Upload>,
    ) -> Result<(), Lost> {
        let begin = request.begin.elapsed();
        self.inner.spec.stats.answered(begin, &Ok::<_, ReplyError>(()));
        let Request { parts, ticket, permit, answer, .. } = request;
        let (sender, pieces) = mpsc::channel(1);
        let body = StreamBody { pieces, ended: false };
        // Where nobody waits any more the first piece finds that out.
        let _ = answer.send(Ok(reply.map(|()| Body::new(body))));
        let (end, lost) = self.carry(id, &sender, upload).await;
        ticket.end();
        self.unreported.calls += 1;
        // Otherwise its worker's crash is still to be reported, with what was in it.
        if lost.is_none() {
            self.slot.worker.finish(self.slot.index);
            self.unreported.answered = true;
        }
        drop(permit);
        if let Some(end) = end {
            tell(&parts, end, sender);
        }
        lost.map_or(Ok(()), Err)
    }

    /// What the client is told at the end, if it is still there; and why the slot makes no more calls, if so.
    async fn carry(
        &mut self,
        id: u32,
        sender: &mpsc::Sender<Piece>,
        upload: Option<Upload>,
    ) -> (Option<Result<(), String>>, Option<Lost>) {
        let end = match self.pass_on(id, sender).await {
            End::Complete => Some(Ok(())),
            End::Broken(reason) => Some(Err(reason)),
            End::Abandoned => {
                self.slot.worker.flag(id).store(1, Ordering::Relaxed);
                let rest = tokio::time::timeout(AFTERWARDS, self.pass_over(id)).await;
                if !matches!(rest, Ok(Ok(()))) {
                    // Nobody was harmed: it is ended, and another one started when it is needed.
                    self.slot.worker.kill(Kill::Retired);
                    return (None, Some(Lost::Ended));
                }
                None
            }
            End::Failed(error) => {
                Lost::from(error).end(&self.slot.worker);
                let crashed = CallError::Crashed(end_of(&self.slot.worker).await);
                return (Some(Err(crashed.to_string())), Some(Lost::Ended));
            }
        };
        let lost = match upload {
            Some(upload) => upload.end(&mut self.slot).await.err().map(Lost::from),
            None => None,
        };
        (end, lost)
    }

    async fn pass_on(&mut self, id: u32, sender: &mpsc::Sender<Piece>) -> End {
        loop {
            let frame = tokio::select! {
                frame = self.slot.frames.of_call(id) => frame,
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
    async fn pass_over(&mut self, id: u32) -> Result<(), ExchangeError> {
        loop {
            let (header, _) = self.slot.frames.of_call(id).await?;
            if matches!(header.kind, Kind::End | Kind::Broken) {
                return Ok(());
            }
        }
    }
}

/// Ends the client's body. Who has its end may call again at once, so that this comes last; and a client that takes its
/// time keeps nobody else from the slot.
fn tell(parts: &CallParts, end: Result<(), String>, sender: mpsc::Sender<Piece>) {
    let last = end.err().map(|reason| Err(broken(parts, reason)));
    if let Err(mpsc::error::TrySendError::Full(last)) = sender.try_send(last) {
        tokio::spawn(async move { sender.send(last).await });
    }
}

fn broken(parts: &CallParts, reason: String) -> StreamError {
    let error = StreamError::Function(reason);
    let request_id = parts.head.id().to_owned();
    parts.function.stats.errors.inc();
    tracing::error!(function = parts.function.name(), request_id, "{error}; the client's connection is cut");
    error
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
