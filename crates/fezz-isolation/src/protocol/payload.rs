//! Encoding and decoding of payloads: little-endian numbers, and byte strings with their length in front.

use bytes::Bytes;

use super::frame::{FrameHeader, FrameKind, HEADER_LEN, MAX_PAYLOAD, ProtocolError};

/// Appends one frame to a buffer. The header is filled in last, when the length is known.
#[derive(Debug)]
pub(crate) struct Encoder<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
    kind: FrameKind,
    id: u32,
}

impl<'b> Encoder<'b> {
    /// Begins a frame after those that the buffer holds.
    pub(crate) fn new(buffer: &'b mut Vec<u8>, kind: FrameKind, id: u32) -> Self {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEADER_LEN]);
        Self { buffer, start, kind, id }
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    /// A number of 32 bits.
    pub(crate) fn small(&mut self, number: u32) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    /// Pairs with their count in front: those that `visit` passes to its argument.
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

    /// The rest of the frame: bytes without a length.
    pub(crate) fn rest(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Ends the frame. One that is too long is removed from the buffer.
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

/// Reads a payload. The values share its memory.
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

    pub(crate) fn small(&mut self) -> Result<u32, ProtocolError> {
        let bytes = self.take(4)?;
        bytes.as_ref().try_into().map(u32::from_le_bytes).map_err(|_| ProtocolError::Short)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, ProtocolError> {
        let length = self.small()?;
        self.take(length as usize)
    }

    pub(crate) fn pairs(&mut self) -> Result<Vec<(Bytes, Bytes)>, ProtocolError> {
        let count = self.number()?;
        // Checked before the allocation: each pair takes at least two lengths of 4 bytes.
        if count > (self.0.len() / 8) as u64 {
            return Err(ProtocolError::Short);
        }
        (0..count).map(|_| Ok((self.bytes()?, self.bytes()?))).collect()
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }

    /// The end of the payload.
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
    use crate::protocol::read_frame;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, FrameKind::Request, 7);
        encoder.rest(payload);
        encoder.finish().unwrap();
        bytes
    }

    #[test]
    fn encoded_values_are_decoded() {
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
    fn frames_are_read_in_order_and_an_overlong_one_is_left_out() {
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
    fn truncated_and_unknown_frames_are_errors() {
        assert!(read_frame(&mut [].as_slice()).unwrap().is_none());
        let whole = frame(b"payload");
        for cut in 1..whole.len() {
            assert!(read_frame(&mut &whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read_frame(&mut &b"\0\0\0\0\x63garbage"[..]).is_err());
    }

    #[test]
    fn surplus_bytes_are_an_error() {
        let mut decoder = Decoder::new(Bytes::from_static(&[0; 9]));
        decoder.number().unwrap();
        assert!(matches!(decoder.end(), Err(ProtocolError::Surplus(1))));
    }
}
