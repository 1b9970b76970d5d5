//! Frames on the Unix stream sockets between host and worker.
//!
//! A frame is `length u32, kind u8, id u32`, little endian, and `length` bytes of payload. Lengths are checked before
//! anything is allocated. Invalid input is a [`ProtocolError`], which ends the worker.

use std::io::{self, Read};

use bytes::Bytes;

/// Length of a frame's header, in bytes.
pub(crate) const HEADER_LEN: usize = 9;
/// Longest payload of a frame, in bytes. A longer body takes several frames.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;
/// Longest body, in bytes, that is sent in the frame of its request or response.
pub(crate) const INLINE_BODY: usize = 64 << 10;
/// The length of a streamed body, which is not known in advance.
pub(crate) const STREAMED: u64 = u64::MAX;
/// Longest piece of a body in a frame of its own, in bytes.
pub(crate) const CHUNK: usize = 256 << 10;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Host to worker, the first frame: what to load, as JSON, with file descriptors attached.
    Setup = 1,
    /// Worker to host: the function is loaded; what the sandbox enforces, as JSON.
    Ready,
    /// Worker to host, the last frame: the function is not loaded; the reason as text.
    Refused,
    /// Worker to host: one log record, as JSON.
    Log,
    /// Host to worker: a call's head, and its body if it is short.
    Request,
    /// Worker to host: an answer's head, and its body if it is short.
    Response,
    /// A piece of a body, in either direction.
    Chunk,
    /// The body is complete; its trailers, if it has any.
    End,
    /// The body broke off; the reason as text.
    Broken,
}

impl FrameKind {
    const ALL: [Self; 9] = [
        Self::Setup,
        Self::Ready,
        Self::Refused,
        Self::Log,
        Self::Request,
        Self::Response,
        Self::Chunk,
        Self::End,
        Self::Broken,
    ];
}

/// A violation of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A frame over the limit.
    #[error("a frame of {0} bytes, at most {MAX_PAYLOAD} are taken")]
    TooLong(usize),
    /// A kind that the protocol does not have.
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
    /// A kind that is not expected at this point.
    #[error("a frame of the kind {found:?} where {expected} was to come")]
    Unexpected {
        /// The frame's kind.
        found: FrameKind,
        /// What was expected.
        expected: &'static str,
    },
    /// A frame of another call.
    #[error("a frame for call {found} during call {expected}")]
    OtherCall {
        /// The frame's call.
        found: u32,
        /// The current call.
        expected: u32,
    },
    /// A payload that ends within a value.
    #[error("a frame that ends within a value")]
    Short,
    /// A payload with bytes after the last value.
    #[error("a frame with {0} bytes too many")]
    Surplus(usize),
    /// A body of another length than announced.
    #[error("a body of other than the {0} bytes that were announced")]
    BodyLength(u64),
    /// Trailers that are not valid in HTTP.
    #[error("{0}")]
    Trailer(#[from] fezz_runtime::ffi::TrailerError),
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) length: usize,
    pub(crate) kind: FrameKind,
    pub(crate) id: u32,
}

impl FrameHeader {
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, ProtocolError> {
        let [l0, l1, l2, l3, kind, i0, i1, i2, i3] = *bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_PAYLOAD {
            return Err(ProtocolError::TooLong(length));
        }
        let known = FrameKind::ALL.into_iter().find(|known| *known as u8 == kind);
        let kind = known.ok_or(ProtocolError::UnknownKind(kind))?;
        Ok(Self { length, kind, id: u32::from_le_bytes([i0, i1, i2, i3]) })
    }

    pub(crate) fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let length = u32::try_from(self.length).expect("frames are shorter than MAX_PAYLOAD");
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5..].copy_from_slice(&self.id.to_le_bytes());
        bytes
    }

    /// The header itself, if it is of the call `id`.
    pub(crate) fn of_call(self, id: u32) -> Result<Self, ProtocolError> {
        if self.id == id { Ok(self) } else { Err(ProtocolError::OtherCall { found: self.id, expected: id }) }
    }
}

/// Reads a frame from a blocking socket; `None` at the end of the stream.
pub(crate) fn read_frame(source: &mut impl Read) -> io::Result<Option<(FrameHeader, Bytes)>> {
    let mut header = [0; HEADER_LEN];
    let first = loop {
        match source.read(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    source.read_exact(&mut header[first..])?;
    let header = FrameHeader::decode(&header).map_err(io::Error::other)?;
    let mut payload = vec![0; header.length];
    source.read_exact(&mut payload)?;
    Ok(Some((header, payload.into())))
}
