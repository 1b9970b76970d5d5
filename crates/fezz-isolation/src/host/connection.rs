//! A place for one call in a worker: a socket, and the protocol on it.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use fezz_runtime::ffi::{Pieces, Reply, ReplyError, RequestSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use super::pipeline_depth::PipelineDepth;
use super::worker::{FLAGS, Worker};
use crate::protocol::{
    CHUNK, FrameHeader, FrameKind, HEADER_LEN, INLINE_BODY, Outcome, ProtocolError, STREAMED, WireResponse,
    decode_reply, encode_request, reply_error,
};

/// Not more of a body is made room for before it has come.
const FIRST_ROOM: u64 = 1 << 20;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The worker was gone before anything of the call reached it.
    #[error("the worker was gone")]
    Unsent,
    #[error("the worker is gone: {0}")]
    Gone(#[source] io::Error),
    #[error("the worker closed its socket")]
    Closed,
    #[error("the worker sent {0}")]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

/// Reads frames as they come.
#[derive(Debug)]
pub(super) struct Frames {
    socket: OwnedReadHalf,
    buffer: BytesMut,
}

impl Frames {
    pub(super) fn new(socket: OwnedReadHalf) -> Self {
        Self { socket, buffer: BytesMut::new() }
    }

    /// Whether all that has come was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame; none where the other side has closed. Nothing is lost where this is dropped half-way.
    pub(super) async fn next(&mut self) -> Result<Option<(FrameHeader, Bytes)>, ExchangeError> {
        loop {
            if let Some(bytes) = self.buffer.first_chunk::<HEADER_LEN>() {
                let header = FrameHeader::decode(bytes)?;
                if self.buffer.len() >= HEADER_LEN + header.length {
                    self.buffer.advance(HEADER_LEN);
                    return Ok(Some((header, self.buffer.split_to(header.length).freeze())));
                }
                self.buffer.reserve(HEADER_LEN + header.length - self.buffer.len());
            } else {
                self.buffer.reserve(4096);
            }
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(ProtocolError::Short.into()),
                Ok(_) => {}
                Err(error) => return Err(ExchangeError::Gone(error)),
            }
        }
    }
}

/// See the module. Dropping the last connection of a worker ends it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    pub(super) index: u32,
    pub(super) frames: Frames,
    /// None while a body is being sent.
    pub(super) sink: Option<Sink>,
    pub(super) depth: PipelineDepth,
    next_id: u32,
    stride: u32,
}

/// The way to the worker.
#[derive(Debug)]
pub(super) struct Sink {
    socket: OwnedWriteHalf,
    /// Where frames are put together.
    pub(super) scratch: Vec<u8>,
}

/// What a worker has answered.
#[derive(Debug)]
pub(super) enum Response {
    /// All of it, and how long the function worked on it, in nanoseconds.
    Whole(Reply<Bytes>, u64),
    /// Its head; the body comes in frames.
    Streams(Reply<()>),
    /// That it will not make the call, which was withdrawn.
    Withdrawn,
}

impl Connection {
    /// One of as many as the worker has.
    pub(super) fn new(worker: Arc<Worker>, index: u32, socket: UnixStream) -> Self {
        let (read, write) = socket.into_split();
        let sink = Some(Sink { socket: write, scratch: Vec::new() });
        let connections = worker.connections();
        let depth = PipelineDepth::new(FLAGS / connections);
        let stride = u32::try_from(connections).unwrap_or(1);
        Self { worker, index, frames: Frames::new(read), sink, depth, next_id: index, stride }
    }

    /// The number of the next call: those of a worker's connections differ, and so do their flags as long as they are close in
    /// time.
    pub(super) fn next_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(self.stride);
        id
    }
}

impl Sink {
    /// Sends frames that are put together.
    pub(super) async fn send(&mut self, frames: &[u8]) -> Result<(), ExchangeError> {
        self.socket.write_all(frames).await.map_err(ExchangeError::Gone)
    }

    /// Sends a call, with its body where that is there already.
    pub(super) async fn request(
        &mut self,
        source: &dyn RequestSource,
        time_left: Duration,
        body: Option<&Bytes>,
        id: u32,
    ) -> Result<(), ExchangeError> {
        self.scratch.clear();
        encode_request(&mut self.scratch, source, time_left, body, id)?;
        // The first bytes tell whether there is anybody: a call that nobody has seen may go to another worker.
        let sent = self.socket.write(&self.scratch).await.map_err(|_| ExchangeError::Unsent)?;
        self.socket.write_all(&self.scratch[sent..]).await.map_err(ExchangeError::Gone)?;
        match body {
            Some(body) if body.len() > INLINE_BODY => {
                self.chunks(body, id).await?;
                self.frame(FrameKind::End, id, b"").await
            }
            _ => Ok(()),
        }
    }

    /// Sends a body as it comes, until its end, or until there is no use for more.
    pub(super) async fn body(
        &mut self,
        mut body: Box<dyn Pieces>,
        id: u32,
        stop: &Notify,
    ) -> Result<(), ExchangeError> {
        loop {
            // A frame that was begun is sent to its end: only waiting for the client may be given up.
            let piece = tokio::select! {
                piece = poll_fn(|cx| body.poll_piece(cx)) => piece,
                () = stop.notified() => return self.frame(FrameKind::Broken, id, b"the call has ended").await,
            };
            match piece {
                Some(Ok(piece)) => self.chunks(&piece, id).await?,
                Some(Err(error)) => return self.frame(FrameKind::Broken, id, error.as_bytes()).await,
                None => return self.frame(FrameKind::End, id, b"").await,
            }
        }
    }

    async fn chunks(&mut self, bytes: &Bytes, id: u32) -> Result<(), ExchangeError> {
        for chunk in bytes.chunks(CHUNK) {
            self.frame(FrameKind::Chunk, id, chunk).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, kind: FrameKind, id: u32, payload: &[u8]) -> Result<(), ExchangeError> {
        let header = FrameHeader { length: payload.len(), kind, id }.encode();
        self.socket.write_all(&header).await.map_err(ExchangeError::Gone)?;
        self.socket.write_all(payload).await.map_err(ExchangeError::Gone)
    }
}

impl Frames {
    /// The answer to the call with this number, as far as it does not come in pieces.
    pub(super) async fn answer(&mut self, id: u32) -> Result<Response, ExchangeError> {
        let (header, payload) = self.of_call(id).await?;
        if header.kind != FrameKind::Response {
            return Err(ProtocolError::Unexpected { found: header.kind, expected: "a response" }.into());
        }
        let mut response = WireResponse::decode(payload)?;
        let (length, mut body) = (response.body_length, std::mem::take(&mut response.body));
        if length == STREAMED {
            return Ok(Response::Streams(decode_reply(response, ())?));
        }
        if body.len() as u64 != length {
            body = self.body(id, length).await?;
        }
        match response.outcome {
            Outcome::Answered => {
                let took_ns = response.took_ns;
                Ok(Response::Whole(decode_reply(response, body)?, took_ns))
            }
            Outcome::Withdrawn => Ok(Response::Withdrawn),
            outcome => Err(reply_error(outcome, &body).into()),
        }
    }

    /// The next frame of this call.
    pub(super) async fn of_call(&mut self, id: u32) -> Result<(FrameHeader, Bytes), ExchangeError> {
        let (header, payload) = self.next().await?.ok_or(ExchangeError::Closed)?;
        Ok((header.of_call(id)?, payload))
    }

    async fn body(&mut self, id: u32, length: u64) -> Result<Bytes, ExchangeError> {
        let room = usize::try_from(length.min(FIRST_ROOM)).unwrap_or_default();
        let mut body = BytesMut::with_capacity(room);
        loop {
            let (header, payload) = self.of_call(id).await?;
            match header.kind {
                FrameKind::Chunk if (body.len() + payload.len()) as u64 <= length => {
                    body.extend_from_slice(&payload);
                }
                FrameKind::End if body.len() as u64 == length => return Ok(body.freeze()),
                FrameKind::Chunk | FrameKind::End => return Err(ProtocolError::BodyLength(length).into()),
                found => {
                    let expected = "a piece of the body";
                    return Err(ProtocolError::Unexpected { found, expected }.into());
                }
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.connection_closed();
    }
}
