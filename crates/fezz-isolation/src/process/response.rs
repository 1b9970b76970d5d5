//! Writes a call's outcome to the host.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fezz_runtime::ffi::{Reply, ReplyBody, ReplyError, ReplyStream};
use http::HeaderMap;
use http_body::Frame;

use crate::protocol::{
    CHUNK, Encoder, FrameKind, INLINE_BODY, Outcome, STREAMED, encode_end, encode_response_head,
};

pub(super) type CallResult = Result<Reply<ReplyBody>, ReplyError>;

/// The socket to the host, for one call after another.
#[derive(Debug)]
pub(super) struct ResponseWriter {
    socket: UnixStream,
    /// Reused for each frame.
    buffer: Vec<u8>,
    /// How long the function worked on the current call.
    pub(super) took: Duration,
}

impl ResponseWriter {
    pub(super) const fn new(socket: UnixStream) -> Self {
        Self { socket, buffer: Vec::new(), took: Duration::ZERO }
    }

    pub(super) fn write_result(
        &mut self,
        id: u32,
        reply: CallResult,
        is_cancelled: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        let Reply { status, headers, body } = match reply {
            Ok(reply) => reply,
            Err(ReplyError::Panicked(message)) => return self.write_failure(id, Outcome::Panicked, &message),
            Err(ReplyError::Failed(message)) => return self.write_failure(id, Outcome::Failed, &message),
            Err(other) => return self.write_failure(id, Outcome::Invalid, &other.to_string()),
        };
        match body {
            ReplyBody::Whole(body) => {
                self.write_whole(id, Outcome::Answered, status.as_u16(), &headers, &body)
            }
            ReplyBody::Stream(stream) => {
                let (status, took) = (status.as_u16(), self.took_ns());
                self.buffer.clear();
                let head = encode_response_head(
                    &mut self.buffer,
                    id,
                    Outcome::Answered,
                    status,
                    took,
                    &headers,
                    STREAMED,
                );
                if let Err(error) = head.finish() {
                    return self.write_failure(id, Outcome::Invalid, &error.to_string());
                }
                self.socket.write_all(&self.buffer)?;
                self.write_stream(id, stream, is_cancelled)
            }
        }
    }

    fn took_ns(&self) -> u64 {
        u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn write_failure(&mut self, id: u32, outcome: Outcome, reason: &str) -> io::Result<()> {
        self.write_whole(id, outcome, 0, &HeaderMap::new(), reason.as_bytes())
    }

    /// Sends a streamed body. The socket's buffer is the flow control: writing waits for the host.
    fn write_stream(
        &mut self,
        id: u32,
        mut stream: ReplyStream,
        is_cancelled: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        let end = loop {
            if is_cancelled() {
                break Err("the caller has gone".to_owned());
            }
            match stream.next_blocking().map(|piece| piece.map(Frame::into_data)) {
                Some(Ok(Ok(piece))) => {
                    piece
                        .chunks(CHUNK)
                        .try_for_each(|chunk| self.write_frame(id, FrameKind::Chunk, chunk))?;
                }
                Some(Ok(Err(frame))) => break Ok(frame.into_trailers().unwrap_or_default()),
                Some(Err(error)) => break Err(error.to_string()),
                None => break Ok(HeaderMap::new()),
            }
        };
        // Before the end is sent: the client may then call again, and what the stream holds has to be free.
        drop(stream);
        match end {
            Ok(trailers) => self.write_end(id, &trailers),
            Err(reason) => self.write_broken(id, &reason),
        }
    }

    fn write_end(&mut self, id: u32, trailers: &HeaderMap) -> io::Result<()> {
        self.buffer.clear();
        match encode_end(&mut self.buffer, id, trailers) {
            Ok(()) => self.socket.write_all(&self.buffer),
            Err(error) => self.write_broken(id, &format!("its trailers cannot be sent: {error}")),
        }
    }

    fn write_broken(&mut self, id: u32, reason: &str) -> io::Result<()> {
        let reason = &reason.as_bytes()[..reason.floor_char_boundary(INLINE_BODY)];
        self.write_frame(id, FrameKind::Broken, reason)
    }

    fn write_frame(&mut self, id: u32, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        let mut frame = Encoder::new(&mut self.buffer, kind, id);
        frame.rest(payload);
        frame.finish().map_err(io::Error::other)?;
        self.socket.write_all(&self.buffer)
    }

    fn write_whole(
        &mut self,
        id: u32,
        outcome: Outcome,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> io::Result<()> {
        let (took, length) = (self.took_ns(), body.len() as u64);
        self.buffer.clear();
        let mut head = encode_response_head(&mut self.buffer, id, outcome, status, took, headers, length);
        let inline = body.len() <= INLINE_BODY;
        if inline {
            head.rest(body);
        }
        // Too large headers are the function's error, and no reason to end the worker.
        if let Err(error) = head.finish() {
            return self.write_failure(id, Outcome::Invalid, &error.to_string());
        }
        self.socket.write_all(&self.buffer)?;
        if !inline {
            body.chunks(CHUNK).try_for_each(|chunk| self.write_frame(id, FrameKind::Chunk, chunk))?;
            self.write_frame(id, FrameKind::End, b"")?;
        }
        Ok(())
    }
}
