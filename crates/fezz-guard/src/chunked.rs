//! Chunked transfer coding (RFC 9112 7.1): finds the end of a chunked body, without buffering.
//!
//! hyper decodes the body. This parser has to find the same end, and rejects everything in which another
//! parser could find a different one: line ends other than CR LF, sizes other than 1 to 16 hexadecimal
//! digits.

use super::class::{TOKEN, VALUE};

/// Longest chunk-size line in bytes. It bounds chunk extensions, which are unused but cheap to send.
const MAX_LINE: usize = 4 * 1024;
/// Most bytes of the trailer section. hyper's own limit is higher.
const MAX_TRAILERS: usize = 8 * 1024;
/// Most hexadecimal digits of a `u64`.
const MAX_SIZE_DIGITS: usize = 16;

/// Why a chunked body is invalid.
pub(super) type ChunkError = &'static str;

const SIZE: ChunkError = "a chunk does not begin with its size in 1 to 16 hexadecimal digits";
const LINE: ChunkError = "a chunk's first line does not end in CR LF or is too long";
const DATA: ChunkError = "a chunk's data is longer than its size";
const TRAILERS: ChunkError = "the trailers of a chunked body are malformed or too long";

/// The expected byte or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Size,
    /// White space before a semicolon, which a recipient must accept (RFC 9112 7.1.1).
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// Parser of one chunked body.
#[derive(Debug)]
pub(super) struct Chunked {
    step: Step,
    /// Bytes left of the chunk; in `Step::Size`, the value of the digits so far.
    left: u64,
    /// Digits of the size so far.
    digits: usize,
    /// Bytes of the chunk-size line so far.
    line: usize,
    /// Bytes of the trailer section so far.
    trailers: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { step: Step::Size, left: 0, digits: 0, line: 0, trailers: 0 }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.step == Step::End
    }

    /// Parses `bytes`, the input behind that of the last call. Returns how many of them are valid and belong
    /// to the body, and the error in the byte behind them, if any.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Result<(), ChunkError>) {
        let mut pos = 0;
        while pos < bytes.len() && !self.is_complete() {
            if self.step == Step::Data {
                pos += self.data(bytes.len() - pos);
                continue;
            }
            match self.byte(bytes[pos]) {
                Ok(next) => self.step = next,
                Err(error) => return (pos, Err(error)),
            }
            pos += 1;
        }
        (pos, Ok(()))
    }

    fn data(&mut self, available: usize) -> usize {
        let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(available);
        self.left -= taken as u64;
        if self.left == 0 {
            self.step = Step::DataCr;
        }
        taken
    }

    fn byte(&mut self, byte: u8) -> Result<Step, ChunkError> {
        match self.step {
            Step::Size | Step::SizeSpace | Step::Extension | Step::SizeLf => self.size_line(byte),
            Step::Data | Step::End => Ok(self.step),
            Step::DataCr => expect(byte, b'\r', Step::DataLf, DATA),
            Step::DataLf => {
                (self.left, self.digits, self.line) = (0, 0, 0);
                expect(byte, b'\n', Step::Size, DATA)
            }
            _ => self.trailer(byte),
        }
    }

    fn size_line(&mut self, byte: u8) -> Result<Step, ChunkError> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(LINE);
        }
        match (self.step, byte) {
            (Step::Size, byte) if byte.is_ascii_hexdigit() => self.digit(byte),
            (Step::Size, _) if self.digits == 0 => Err(SIZE),
            (Step::Size | Step::SizeSpace, b' ' | b'\t') => Ok(Step::SizeSpace),
            (Step::Size | Step::SizeSpace, b';') => Ok(Step::Extension),
            (Step::Size | Step::Extension, b'\r') => Ok(Step::SizeLf),
            (Step::Extension, byte) if VALUE.has(byte) => Ok(Step::Extension),
            (Step::SizeLf, b'\n') if self.left == 0 => Ok(Step::TrailerStart),
            (Step::SizeLf, b'\n') => Ok(Step::Data),
            (Step::Size | Step::SizeSpace, _) => Err(SIZE),
            _ => Err(LINE),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<Step, ChunkError> {
        self.digits += 1;
        if self.digits > MAX_SIZE_DIGITS {
            return Err(SIZE);
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.left = self.left << 4 | u64::from(digit);
        Ok(Step::Size)
    }

    /// Trailer lines have the syntax of header lines (RFC 9112 7.1.2).
    fn trailer(&mut self, byte: u8) -> Result<Step, ChunkError> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS {
            return Err(TRAILERS);
        }
        match (self.step, byte) {
            (Step::TrailerStart, b'\r') => Ok(Step::EndLf),
            (Step::TrailerName, b':') => Ok(Step::TrailerValue),
            (Step::TrailerStart | Step::TrailerName, byte) if TOKEN.has(byte) => Ok(Step::TrailerName),
            (Step::TrailerValue, b'\r') => Ok(Step::TrailerLf),
            (Step::TrailerValue, byte) if VALUE.has(byte) => Ok(Step::TrailerValue),
            (Step::TrailerLf, b'\n') => Ok(Step::TrailerStart),
            (Step::EndLf, b'\n') => Ok(Step::End),
            _ => Err(TRAILERS),
        }
    }
}

fn expect(byte: u8, expected: u8, next: Step, error: ChunkError) -> Result<Step, ChunkError> {
    if byte == expected { Ok(next) } else { Err(error) }
}
