//! A place for one call in a worker: a socket, and the protocol on it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fezz_runtime::ffi::{Pieces, RequestSource};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::protocol::{CHUNK, FrameHeader, FrameKind, INLINE_BODY, encode_request};

use super::frame_reader::{ExchangeError, FrameReader};
use super::pipeline_depth::PipelineDepth;
use super::worker::{CALL_SLOTS, Worker};

/// See the module. Dropping the last connection of a worker ends it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    pub(super) index: u32,
    pub(super) reader: FrameReader,
    /// None while a body is being sent.
    pub(super) writer: Option<FrameWriter>,
    pub(super) depth: PipelineDepth,
    next_id: u32,
    stride: u32,
}

/// The way to the worker.
#[derive(Debug)]
pub(super) struct FrameWriter {
    socket: OwnedWriteHalf,
    /// Where frames are put together.
    pub(super) scratch: Vec<u8>,
}

impl Connection {
    /// One of as many as the worker has.
    pub(super) fn new(worker: Arc<Worker>, index: u32, socket: UnixStream) -> Self {
        let (read, write) = socket.into_split();
        let writer = Some(FrameWriter { socket: write, scratch: Vec::new() });
        let connections = worker.connections();
        let depth = PipelineDepth::new(CALL_SLOTS / connections);
        let stride = u32::try_from(connections).unwrap_or(1);
        Self { worker, index, reader: FrameReader::new(read), writer, depth, next_id: index, stride }
    }

    /// The number of the next call: those of a worker's connections differ, and so do their flags as long as they are close in
    /// time.
    pub(super) fn next_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(self.stride);
        id
    }
}

impl FrameWriter {
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

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.connection_closed();
    }
}
