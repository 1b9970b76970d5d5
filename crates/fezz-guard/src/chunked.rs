//! Follows a chunked body (RFC 9112 7.1) to its end, without keeping any of it.
//!
//! hyper decodes the body itself; this walk only has to find the same end, and to refuse what another reader could
//! find another end in: line ends that are not CR LF, sizes that are not 1 to 16 hexadecimal digits.

use super::class::{TOKEN, VALUE};

/// The longest chunk line, and so the longest extension: no one uses them, and they would cost nothing to send.
const MAX_LINE: usize = 4 * 1024;
/// The most that all trailers may take; hyper's own limit is higher.
const MAX_TRAILERS: usize = 8 * 1024;
/// As many digits as a `u64` holds.
const MAX_SIZE_DIGITS: usize = 16;

/// Why a chunked body is broken.
pub(super) type Broken = &'static str;

const SIZE: Broken = "a chunk does not begin with its size in 1 to 16 hexadecimal digits";
const LINE: Broken = "a chunk's first line does not end in CR LF or is too long";
const DATA: Broken = "a chunk's data is longer than its size";
const TRAILERS: Broken = "the trailers of a chunked body are malformed or too long";

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Size,
    /// White space before a semicolon, which a reader must take (RFC 9112 7.1.1).
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

/// A chunked body of which a part has been read.
#[derive(Debug)]
pub(super) struct Chunked {
    step: Step,
    /// What is left of the chunk; while its size is read, the size so far.
    left: u64,
    digits: usize,
    line: usize,
    trailers: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { step: Step::Size, left: 0, digits: 0, line: 0, trailers: 0 }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.step == Step::End
    }

    /// Reads on in `bytes` and returns how many of them belong to the body and are sound, with what is wrong with
    /// the one behind them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Result<(), Broken>) {
        let mut pos = 0;
        while pos < bytes.len() && !self.is_complete() {
            if self.step == Step::Data {
                pos += self.data(bytes.len() - pos);
                continue;
            }
            match self.byte(bytes[pos]) {
                Ok(next) => self.step = next,
                Err(broken) => return (pos, Err(broken)),
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

    fn byte(&mut self, byte: u8) -> Result<Step, Broken> {
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

    fn size_line(&mut self, byte: u8) -> Result<Step, Broken> {
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

    fn digit(&mut self, byte: u8) -> Result<Step, Broken> {
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

    /// The same rules as for a head's lines (RFC 9112 7.1.2), since hyper takes bare line feeds here too.
    fn trailer(&mut self, byte: u8) -> Result<Step, Broken> {
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

fn expect(byte: u8, expected: u8, next: Step, broken: Broken) -> Result<Step, Broken> {
    if byte == expected { Ok(next) } else { Err(broken) }
}
