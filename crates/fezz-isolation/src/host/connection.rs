//! A connection to a worker: one socket, on which calls are made one after another.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fezz_runtime::ffi::{Pieces, RequestSource};
use http::HeaderMap;
use http_body::Frame;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::protocol::{CHUNK, FrameHeader, FrameKind, INLINE_BODY, encode_end, encode_request};

use super::frame_reader::{ExchangeError, FrameReader};
use super::pipeline_depth::PipelineDepth;
use super::worker::{CALL_SLOTS, Worker};

/// A connection to a worker. Dropping the last one of a worker asks the worker to end.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    pub(super) index: u32,
    pub(super) reader: FrameReader,
    /// `None` while a task of its own sends a body.
    pub(super) writer: Option<FrameWriter>,
    pub(super) depth: PipelineDepth,
    next_id: u32,
    stride: u32,
}

/// The write half of a connection.
#[derive(Debug)]
pub(super) struct FrameWriter {
    socket: OwnedWriteHalf,
    /// Reused for encoding frames.
    pub(super) scratch: Vec<u8>,
}

impl Connection {
    /// The connection number `index` of this worker.
    pub(super) fn new(worker: Arc<Worker>, index: u32, socket: UnixStream) -> Self {
        let (read, write) = socket.into_split();
        let writer = Some(FrameWriter { socket: write, scratch: Vec::new() });
        let connections = worker.connections();
        let depth = PipelineDepth::new(CALL_SLOTS / connections);
        let stride = u32::try_from(connections).unwrap_or(1);
        Self { worker, index, reader: FrameReader::new(read), writer, depth, next_id: index, stride }
    }

    /// The number of the next call. Connections of a worker use disjoint numbers, so that calls in flight at the same time
    /// have different words in shared memory.
    pub(super) fn next_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(self.stride);
        id
    }
}

impl FrameWriter {
    /// Sends encoded frames.
    pub(super) async fn send(&mut self, frames: &[u8]) -> Result<(), ExchangeError> {
        self.socket.write_all(frames).await.map_err(ExchangeError::Gone)
    }

    /// Sends a call, with its body unless that is streamed.
    pub(super) async fn send_request(
        &mut self,
        source: &dyn RequestSource,
        time_left: Duration,
        body: Option<&Bytes>,
        id: u32,
    ) -> Result<(), ExchangeError> {
        self.scratch.clear();
        encode_request(&mut self.scratch, source, time_left, body, id)?;
        // If not even the first bytes can be sent, the worker has not seen the call: another one may make it.
        let sent = self.socket.write(&self.scratch).await.map_err(|_| ExchangeError::Unsent)?;
        self.socket.write_all(&self.scratch[sent..]).await.map_err(ExchangeError::Gone)?;
        match body {
            Some(body) if body.len() > INLINE_BODY => {
                self.send_chunks(body, id).await?;
                self.send_frame(FrameKind::End, id, b"").await
            }
            _ => Ok(()),
        }
    }

    /// Sends a streamed body until its end, or until `stop`.
    pub(super) async fn send_body(
        &mut self,
        mut body: Box<dyn Pieces>,
        id: u32,
        stop: &Notify,
    ) -> Result<(), ExchangeError> {
        loop {
            // Only waiting for the client can be interrupted, never the sending of a frame.
            let piece = tokio::select! {
                piece = poll_fn(|cx| body.poll_piece(cx)) => piece,
                () = stop.notified() => return self.send_frame(FrameKind::Broken, id, b"the call has ended").await,
            };
            match piece.map(|piece| piece.map(Frame::into_data)) {
                // No bytes, but a reason to look up.
                Some(Ok(Ok(piece))) if piece.is_empty() => self.send_frame(FrameKind::Chunk, id, b"").await?,
                Some(Ok(Ok(piece))) => self.send_chunks(&piece, id).await?,
                Some(Ok(Err(frame))) => {
                    return self.send_end(id, &frame.into_trailers().unwrap_or_default()).await;
                }
                Some(Err(error)) => return self.send_frame(FrameKind::Broken, id, error.as_bytes()).await,
                None => return self.send_frame(FrameKind::End, id, b"").await,
            }
        }
    }

    /// Ends a body with its trailers.
    async fn send_end(&mut self, id: u32, trailers: &HeaderMap) -> Result<(), ExchangeError> {
        self.scratch.clear();
        encode_end(&mut self.scratch, id, trailers)?;
        self.socket.write_all(&self.scratch).await.map_err(ExchangeError::Gone)
    }

    async fn send_chunks(&mut self, bytes: &Bytes, id: u32) -> Result<(), ExchangeError> {
        for chunk in bytes.chunks(CHUNK) {
            self.send_frame(FrameKind::Chunk, id, chunk).await?;
        }
        Ok(())
    }

    async fn send_frame(&mut self, kind: FrameKind, id: u32, payload: &[u8]) -> Result<(), ExchangeError> {
        let header = FrameHeader { length: payload.len(), kind, id }.encode();
        if payload.len() <= INLINE_BODY {
            // A copy costs less than another write.
            self.scratch.clear();
            self.scratch.extend_from_slice(&header);
            self.scratch.extend_from_slice(payload);
            return self.socket.write_all(&self.scratch).await.map_err(ExchangeError::Gone);
        }
        self.socket.write_all(&header).await.map_err(ExchangeError::Gone)?;
        self.socket.write_all(payload).await.map_err(ExchangeError::Gone)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.connection_closed();
    }
}
