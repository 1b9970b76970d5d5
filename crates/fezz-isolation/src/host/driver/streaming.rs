//! Streamed replies: relays the body from the worker to the client.
//!
//! Backpressure: pieces go through a channel with room for one, and the worker's socket buffers some more, so that the
//! function waits for the client. When the client goes, the call is cancelled and the rest of the body is discarded.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fezz_runtime::ffi::{Piece, Reply, StreamError};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use tokio::sync::mpsc;

use crate::host::body::{StreamBody, WorkerBody};
use crate::host::call::{CallError, PendingCall};
use crate::host::frame_reader::ExchangeError;
use crate::host::worker::KillReason;
use crate::protocol::{CANCELLED, FrameKind, ProtocolError, decode_trailers};

use super::Driver;
use super::failure::{Failure, end_of};
use super::upload::Upload;

/// Time limit for a function to end a streamed body after its client has gone.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How a body ended for the client: with its trailers, or broken off for a reason.
type Ended = Result<Option<HeaderMap>, String>;

/// How a body ended.
enum BodyEnd {
    /// With its trailers, if it has any.
    Complete(Option<HeaderMap>),
    /// The client has gone.
    Abandoned,
    /// The function broke it off; the reason.
    Broken(String),
    /// The connection to the worker failed.
    Failed(ExchangeError),
}

impl Driver {
    /// Answers the call with a streamed body, and relays it to its end.
    pub(super) async fn stream_reply(
        &mut self,
        call: PendingCall,
        id: u32,
        (reply, length): (Reply<()>, Option<u64>),
        upload: Option<Upload>,
    ) -> Result<(), Failure> {
        let begin = call.begin.elapsed();
        self.inner.spec.observer.call_ended(begin, None);
        let PendingCall { source, request_id, handle, answer, .. } = call;
        let (sender, pieces) = mpsc::channel(1);
        // If the caller has gone, the first piece notices it.
        let _ = answer.send(Ok(reply.map(|()| WorkerBody::Stream(StreamBody::new(pieces, length)))));
        self.inner.lock().streams += 1;
        let (end, failure) = self.relay(id, length, &sender, upload).await;
        self.inner.lock().streams -= 1;
        handle.detach();
        self.finished.count += 1;
        // After a failure, the crash report still needs the call's id.
        if failure.is_none() {
            self.connection.worker.call_ended(self.connection.index);
            self.finished.any_answered = true;
        }
        drop(source);
        if let Some(end) = end {
            self.end_body(&request_id, end, sender);
        }
        failure.map_or(Ok(()), Err)
    }

    /// Relays the body. Returns how it ended for the client, unless it has gone, and why the connection failed, if it did.
    async fn relay(
        &mut self,
        id: u32,
        length: Option<u64>,
        sender: &mpsc::Sender<Piece>,
        upload: Option<Upload>,
    ) -> (Option<Ended>, Option<Failure>) {
        let end = match self.relay_pieces(id, length, sender).await {
            BodyEnd::Complete(trailers) => Some(Ok(trailers)),
            BodyEnd::Broken(reason) => Some(Err(reason)),
            BodyEnd::Abandoned => {
                self.connection.worker.flag(id).store(CANCELLED, Ordering::Relaxed);
                let rest = tokio::time::timeout(DRAIN_TIMEOUT, self.connection.reader.discard_body(id)).await;
                if !matches!(rest, Ok(Ok(()))) {
                    // Not a crash: no caller is affected.
                    self.connection.worker.kill(KillReason::Retired);
                    return (None, Some(Failure::Ended));
                }
                None
            }
            BodyEnd::Failed(error) => {
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

    /// Ends the client's body. This comes last, since the client may then call again at once. It does not wait, since a slow
    /// client must not keep the connection from other calls.
    fn end_body(&self, request_id: &HeaderValue, end: Ended, sender: mpsc::Sender<Piece>) {
        let last = match end {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(reason) => Some(Err(self.broken(request_id, reason))),
        };
        if let Err(mpsc::error::TrySendError::Full(last)) = sender.try_send(last) {
            tokio::spawn(async move { sender.send(last).await });
        }
    }

    fn broken(&self, request_id: &HeaderValue, reason: String) -> StreamError {
        let error = StreamError::Function(reason);
        let (function, request_id) = (self.inner.spec.name.as_str(), request_id.to_str().unwrap_or_default());
        self.inner.spec.observer.body_broken();
        let kind = "streamed responses broke off";
        tracing::error!(kind, function, request_id, "{error}; the client's connection is cut");
        error
    }

    async fn relay_pieces(&mut self, id: u32, length: Option<u64>, sender: &mpsc::Sender<Piece>) -> BodyEnd {
        let mut left = length;
        let wrong = || BodyEnd::Failed(ProtocolError::BodyLength(length.unwrap_or_default()).into());
        loop {
            let frame = tokio::select! {
                frame = self.connection.reader.next_of_call(id) => frame,
                () = sender.closed() => return BodyEnd::Abandoned,
            };
            let (header, payload) = match frame {
                Ok(frame) => frame,
                Err(error) => return BodyEnd::Failed(error),
            };
            match header.kind {
                FrameKind::Chunk => {
                    left = match left.map(|left| left.checked_sub(payload.len() as u64)) {
                        Some(None) => return wrong(),
                        left => left.flatten(),
                    };
                    if sender.send(Some(Ok(Frame::data(payload)))).await.is_err() {
                        return BodyEnd::Abandoned;
                    }
                }
                FrameKind::End if left.unwrap_or_default() > 0 => return wrong(),
                FrameKind::End => {
                    return match decode_trailers(payload) {
                        Ok(trailers) => BodyEnd::Complete(trailers),
                        Err(error) => BodyEnd::Failed(error.into()),
                    };
                }
                FrameKind::Broken => return BodyEnd::Broken(String::from_utf8_lossy(&payload).into_owned()),
                found => {
                    let expected = "a piece of the body";
                    return BodyEnd::Failed(ProtocolError::Unexpected { found, expected }.into());
                }
            }
        }
    }
}
