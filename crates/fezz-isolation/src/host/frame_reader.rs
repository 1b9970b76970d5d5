//! Reads frames of the protocol from a worker's socket.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use fezz_runtime::ffi::{Reply, ReplyError};
use tokio::io::AsyncReadExt;
use tokio::net::unix::OwnedReadHalf;

use crate::protocol::{
    FrameHeader, FrameKind, HEADER_LEN, Outcome, ProtocolError, STREAMED, WireResponse, decode_reply,
    reply_error,
};

use super::budget::Budget;

/// Why the exchange of frames with a worker failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The worker had ended before any part of the call reached it.
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

/// Buffered reader of frames.
#[derive(Debug)]
pub(super) struct FrameReader {
    socket: OwnedReadHalf,
    buffer: BytesMut,
}

impl FrameReader {
    pub(super) fn new(socket: OwnedReadHalf) -> Self {
        Self { socket, buffer: BytesMut::new() }
    }

    /// Whether the buffer is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame; `None` if the worker has closed the socket. Cancel-safe.
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

/// A worker's answer to a call.
#[derive(Debug)]
pub(super) enum Response {
    /// The whole reply, and how long the function worked on it, in nanoseconds.
    Whole(Reply<Bytes>, u64),
    /// The head of a reply; the body follows in frames. Its length, if it is known.
    Streams(Reply<()>, Option<u64>),
    /// The call was withdrawn, and the worker did not make it.
    Withdrawn,
}

impl FrameReader {
    /// The answer to the call with this number; of a streamed reply, the head. A body of more than `limit` bytes is an
    /// error. One that finds no room in `memory` is left in the socket, so that its worker waits for the client.
    pub(super) async fn read_response(
        &mut self,
        id: u32,
        limit: u64,
        memory: &Arc<Budget>,
    ) -> Result<Response, ExchangeError> {
        let (header, payload) = self.next_of_call(id).await?;
        if header.kind != FrameKind::Response {
            return Err(ProtocolError::Unexpected { found: header.kind, expected: "a response" }.into());
        }
        let mut response = WireResponse::decode(payload)?;
        let (length, mut body) = (response.body_length, std::mem::take(&mut response.body));
        if length == STREAMED {
            return Ok(Response::Streams(decode_reply(response, ())?, None));
        }
        if length > limit {
            if body.len() as u64 != length {
                self.discard_body(id).await?;
            }
            return Err(ReplyError::TooLarge { length, limit }.into());
        }
        if body.len() as u64 != length {
            let Some(reserved) = memory.reserve(length) else {
                if response.outcome != Outcome::Answered {
                    self.discard_body(id).await?;
                    return Err(reply_error(response.outcome, b"").into());
                }
                return Ok(Response::Streams(decode_reply(response, ())?, Some(length)));
            };
            let read = self.read_body(id, length).await?;
            body = reserved.attach(read);
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

    /// Reads the rest of a body, which nobody wants.
    pub(super) async fn discard_body(&mut self, id: u32) -> Result<(), ExchangeError> {
        loop {
            let (header, _) = self.next_of_call(id).await?;
            if matches!(header.kind, FrameKind::End | FrameKind::Broken) {
                return Ok(());
            }
        }
    }

    /// The next frame of this call.
    pub(super) async fn next_of_call(&mut self, id: u32) -> Result<(FrameHeader, Bytes), ExchangeError> {
        let (header, payload) = self.next().await?.ok_or(ExchangeError::Closed)?;
        Ok((header.of_call(id)?, payload))
    }

    async fn read_body(&mut self, id: u32, length: u64) -> Result<Bytes, ExchangeError> {
        // Its memory is reserved, and the kernel gives it only as it is filled.
        let mut body = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
        loop {
            let (header, payload) = self.next_of_call(id).await?;
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
