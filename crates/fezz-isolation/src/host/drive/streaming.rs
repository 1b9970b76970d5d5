//! An answer's body that a worker makes while the client takes it.
//!
//! Pieces go through a channel with room for one, and the worker's socket has room for some more: then the function
//! waits for the client. When the client goes, the function is told, and what it has made already is passed over.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body::Frame;
use tokio::sync::mpsc;

use super::Drive;
use super::failure::{Failure, end_of};
use super::upload::Upload;
use crate::host::call::{CallError, PendingCall, WorkerBody};
use crate::host::connection::ExchangeError;
use crate::host::worker::KillReason;
use crate::protocol::{FrameKind, ProtocolError};
use fezz_runtime::ffi::{Piece, Reply, StreamError};

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
        call: PendingCall,
        id: u32,
        reply: Reply<()>,
        upload: Option<Upload>,
    ) -> Result<(), Failure> {
        let begin = call.begin.elapsed();
        self.inner.spec.observer.call_ended(begin, None);
        let PendingCall { source, request_id, handle, answer, .. } = call;
        let (sender, pieces) = mpsc::channel(1);
        let body = StreamBody { pieces, ended: false };
        // Where nobody waits any more the first piece finds that out.
        let _ = answer.send(Ok(reply.map(|()| WorkerBody::Stream(body))));
        let (end, failure) = self.carry(id, &sender, upload).await;
        handle.end();
        self.unreported.calls += 1;
        // Otherwise its worker's crash is still to be reported, with what was in it.
        if failure.is_none() {
            self.connection.worker.finish(self.connection.index);
            self.unreported.answered = true;
        }
        drop(source);
        if let Some(end) = end {
            self.tell(&request_id, end, sender);
        }
        failure.map_or(Ok(()), Err)
    }

    /// What the client is told at the end, if it is still there; and why the connection makes no more calls, if so.
    async fn carry(
        &mut self,
        id: u32,
        sender: &mpsc::Sender<Piece>,
        upload: Option<Upload>,
    ) -> (Option<Result<(), String>>, Option<Failure>) {
        let end = match self.pass_on(id, sender).await {
            End::Complete => Some(Ok(())),
            End::Broken(reason) => Some(Err(reason)),
            End::Abandoned => {
                self.connection.worker.flag(id).store(1, Ordering::Relaxed);
                let rest = tokio::time::timeout(AFTERWARDS, self.pass_over(id)).await;
                if !matches!(rest, Ok(Ok(()))) {
                    // Nobody was harmed: it is ended, and another one started when it is needed.
                    self.connection.worker.kill(KillReason::Retired);
                    return (None, Some(Failure::Ended));
                }
                None
            }
            End::Failed(error) => {
                Failure::from(error).end(&self.connection.worker);
                let crashed = CallError::Crashed(end_of(&self.connection.worker).await);
                return (Some(Err(crashed.to_string())), Some(Failure::Ended));
            }
        };
        let failure = match upload {
            Some(upload) => upload.end(&mut self.connection).await.err().map(Failure::from),
            None => None,
        };
        (end, failure)
    }

    /// Ends the client's body. Last, since a client that has its end may call again at once; without waiting, since a slow
    /// client must not keep the connection from other calls.
    fn tell(&self, request_id: &HeaderValue, end: Result<(), String>, sender: mpsc::Sender<Piece>) {
        let last = end.err().map(|reason| Err(self.broken(request_id, reason)));
        if let Err(mpsc::error::TrySendError::Full(last)) = sender.try_send(last) {
            tokio::spawn(async move { sender.send(last).await });
        }
    }

    fn broken(&self, request_id: &HeaderValue, reason: String) -> StreamError {
        let error = StreamError::Function(reason);
        let (function, request_id) = (self.inner.spec.name.as_str(), request_id.to_str().unwrap_or_default());
        self.inner.spec.observer.body_broken();
        tracing::error!(function, request_id, "{error}; the client's connection is cut");
        error
    }

    async fn pass_on(&mut self, id: u32, sender: &mpsc::Sender<Piece>) -> End {
        loop {
            let frame = tokio::select! {
                frame = self.connection.frames.of_call(id) => frame,
                () = sender.closed() => return End::Abandoned,
            };
            let (header, payload) = match frame {
                Ok(frame) => frame,
                Err(error) => return End::Failed(error),
            };
            match header.kind {
                FrameKind::Chunk => {
                    if sender.send(Some(Ok(payload))).await.is_err() {
                        return End::Abandoned;
                    }
                }
                FrameKind::End => return End::Complete,
                FrameKind::Broken => return End::Broken(String::from_utf8_lossy(&payload).into_owned()),
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
            let (header, _) = self.connection.frames.of_call(id).await?;
            if matches!(header.kind, FrameKind::End | FrameKind::Broken) {
                return Ok(());
            }
        }
    }
}

/// The client's end.
#[derive(Debug)]
pub struct StreamBody {
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
