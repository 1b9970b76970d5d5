//! What host and worker say to each other: frames on Unix stream sockets.
//!
//! A frame is `length u32, kind u8, id u32`, little endian, and `length` bytes. Requests and responses are a compact
//! encoding of the C contract: texts and bytes with their lengths before them. Lengths are checked before anything is
//! allocated, and whatever does not fit is a [`ProtocolError`], which ends the worker.

use std::io::{self, Read};

use bytes::Bytes;

use super::message::{WireRequest, WireResponse};

/// Bytes before a frame's payload.
pub(crate) const HEADER_LEN: usize = 9;
/// No frame is longer. Bodies that are come in several.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;
/// A body up to this size travels in the frame of its head.
pub(crate) const INLINE_BODY: usize = 64 << 10;
/// Stands for the length of a body that is sent as it is made.
pub(crate) const STREAMED: u64 = u64::MAX;
/// Bytes of a body in each further frame.
pub(crate) const CHUNK: usize = 256 << 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Host to worker, the first: what to load, as JSON, with descriptors beside it.
    Setup = 1,
    /// Worker to host: loaded; what is enforced, as JSON.
    Ready,
    /// Worker to host: not loaded; the reason as text. The last.
    Refused,
    /// Worker to host: one log record, as JSON.
    Log,
    /// Host to worker: a call's head, and its body where that is short.
    Request,
    /// Worker to host: an answer's head, and its body where that is short.
    Response,
    /// A piece of a body, in either direction.
    Chunk,
    /// The body is complete.
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

/// What was received is not the protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A frame over the limit.
    #[error("a frame of {0} bytes, at most {MAX_PAYLOAD} are taken")]
    TooLong(usize),
    /// A kind that the protocol does not have.
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
    /// A kind that is not due now.
    #[error("a frame of the kind {found:?} where {expected} was to come")]
    Unexpected {
        /// What came.
        found: FrameKind,
        /// What was due.
        expected: &'static str,
    },
    /// A frame of another call.
    #[error("a frame for call {found} during call {expected}")]
    OtherCall {
        /// The frame's.
        found: u32,
        /// The current one.
        expected: u32,
    },
    /// A payload that ends within a value.
    #[error("a frame that ends within a value")]
    Short,
    /// A payload with bytes behind the last value.
    #[error("a frame with {0} bytes too many")]
    Surplus(usize),
    /// A body of another length than announced.
    #[error("a body of other than the {0} bytes that were announced")]
    BodyLength(u64),
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

    /// Whether this is a frame of this call.
    pub(crate) fn of_call(self, id: u32) -> Result<Self, ProtocolError> {
        if self.id == id { Ok(self) } else { Err(ProtocolError::OtherCall { found: self.id, expected: id }) }
    }
}

/// Reads a whole frame from a socket that blocks; none at its end.
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

/// Decodes every frame in these bytes, requests and responses to their last value: the whole of what one side can make
/// the other read. For fuzzing.
///
/// # Errors
/// The first thing that is not the protocol.
pub fn decode_frames(mut bytes: &[u8]) -> io::Result<usize> {
    let mut frames = 0;
    while let Some((header, payload)) = read_frame(&mut bytes)? {
        match header.kind {
            FrameKind::Request => _ = WireRequest::decode(payload).map_err(io::Error::other)?,
            FrameKind::Response => _ = WireResponse::decode(payload).map_err(io::Error::other)?,
            _ => {}
        }
        frames += 1;
    }
    Ok(frames)
}

/// Builds one frame behind others: the header is filled in at the end, when the length is known.
#[derive(Debug)]
pub(crate) struct Encoder<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
    kind: FrameKind,
    id: u32,
}

impl<'b> Encoder<'b> {
    /// Begins a frame behind those that the buffer holds.
    pub(crate) fn new(buffer: &'b mut Vec<u8>, kind: FrameKind, id: u32) -> Self {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEADER_LEN]);
        Self { buffer, start, kind, id }
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    /// The pairs that `visit` hands over, behind their count.
    pub(crate) fn pairs(&mut self, visit: impl FnOnce(&mut dyn FnMut(&[u8], &[u8]))) {
        let start = self.buffer.len();
        self.number(0);
        let mut count: u64 = 0;
        visit(&mut |name, value| {
            self.bytes(name);
            self.bytes(value);
            count += 1;
        });
        self.buffer[start..start + size_of::<u64>()].copy_from_slice(&count.to_le_bytes());
    }

    /// Bytes to the end of the frame, without their length.
    pub(crate) fn rest(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Ends the frame; one that has become too long to be sent is taken out again.
    pub(crate) fn finish(self) -> Result<(), ProtocolError> {
        let header = self.start..self.start + HEADER_LEN;
        let length = self.buffer.len() - header.end;
        if length > MAX_PAYLOAD {
            self.buffer.truncate(self.start);
            return Err(ProtocolError::TooLong(length));
        }
        self.buffer[header].copy_from_slice(&FrameHeader { length, kind: self.kind, id: self.id }.encode());
        Ok(())
    }
}

/// Reads a frame's payload; what is handed out shares its memory.
#[derive(Debug)]
pub(crate) struct Decoder(Bytes);

impl Decoder {
    pub(crate) const fn new(payload: Bytes) -> Self {
        Self(payload)
    }

    pub(crate) fn number(&mut self) -> Result<u64, ProtocolError> {
        let bytes = self.take(8)?;
        bytes.as_ref().try_into().map(u64::from_le_bytes).map_err(|_| ProtocolError::Short)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, ProtocolError> {
        let length = self.take(4)?;
        let length = length.as_ref().try_into().map(u32::from_le_bytes).map_err(|_| ProtocolError::Short)?;
        self.take(length as usize)
    }

    pub(crate) fn pairs(&mut self) -> Result<Vec<(Bytes, Bytes)>, ProtocolError> {
        let count = self.number()?;
        // Each pair has two lengths: more of them than that cannot be here.
        if count > (self.0.len() / 8) as u64 {
            return Err(ProtocolError::Short);
        }
        (0..count).map(|_| Ok((self.bytes()?, self.bytes()?))).collect()
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left over.
    pub(crate) fn end(self) -> Result<(), ProtocolError> {
        if self.0.is_empty() { Ok(()) } else { Err(ProtocolError::Surplus(self.0.len())) }
    }

    fn take(&mut self, length: usize) -> Result<Bytes, ProtocolError> {
        if length > self.0.len() {
            return Err(ProtocolError::Short);
        }
        Ok(self.0.split_to(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, FrameKind::Request, 7);
        encoder.rest(payload);
        encoder.finish().unwrap();
        bytes
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, FrameKind::Response, 9);
        encoder.number(u64::MAX);
        encoder.bytes(b"text");
        encoder.pairs(|to| {
            to(b"name", b"\xff\0");
            to(b"", b"");
        });
        encoder.rest(b"the rest");
        encoder.finish().unwrap();
        let (header, payload) = read_frame(&mut bytes.as_slice()).unwrap().unwrap();
        assert_eq!((header.kind, header.id), (FrameKind::Response, 9));
        let mut decoder = Decoder::new(payload);
        assert_eq!(decoder.number().unwrap(), u64::MAX);
        assert_eq!(&decoder.bytes().unwrap()[..], b"text");
        let pairs = decoder.pairs().unwrap();
        assert_eq!((&pairs[0].0[..], &pairs[0].1[..]), (&b"name"[..], &b"\xff\0"[..]));
        assert_eq!(pairs.len(), 2);
        assert_eq!(&decoder.rest()[..], b"the rest");
        decoder.end().unwrap();
    }

    #[test]
    fn frames_stand_one_after_another() {
        let mut bytes = frame(b"first");
        let mut encoder = Encoder::new(&mut bytes, FrameKind::End, 8);
        encoder.rest(b"second");
        encoder.finish().unwrap();
        let mut encoder = Encoder::new(&mut bytes, FrameKind::End, 9);
        encoder.rest(&vec![0; MAX_PAYLOAD + 1]);
        assert!(matches!(encoder.finish(), Err(ProtocolError::TooLong(_))));
        let mut source = bytes.as_slice();
        let mut next = || read_frame(&mut source).unwrap().map(|(header, payload)| (header.id, payload));
        assert_eq!(next().unwrap(), (7, Bytes::from_static(b"first")));
        assert_eq!(next().unwrap(), (8, Bytes::from_static(b"second")));
        assert!(next().is_none());
    }

    #[test]
    fn lengths_are_checked_before_anything_is_allocated() {
        let mut huge = frame(b"");
        huge[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read_frame(&mut huge.as_slice()).unwrap_err().to_string().contains("at most"));
        let lying = [&u64::MAX.to_le_bytes()[..], &[0; 64]].concat();
        assert!(matches!(Decoder::new(lying.into()).pairs(), Err(ProtocolError::Short)));
        let lying = [&u32::MAX.to_le_bytes()[..], b"abc"].concat();
        assert!(matches!(Decoder::new(lying.into()).bytes(), Err(ProtocolError::Short)));
    }

    #[test]
    fn garbage_is_an_error_and_an_end_is_none() {
        assert!(read_frame(&mut [].as_slice()).unwrap().is_none());
        let whole = frame(b"payload");
        for cut in 1..whole.len() {
            assert!(read_frame(&mut &whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read_frame(&mut &b"\0\0\0\0\x63garbage"[..]).is_err());
    }

    #[test]
    fn nothing_is_left_over() {
        let mut decoder = Decoder::new(Bytes::from_static(&[0; 9]));
        decoder.number().unwrap();
        assert!(matches!(decoder.end(), Err(ProtocolError::Surplus(1))));
    }
}
