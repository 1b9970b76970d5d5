//! Reads a request's head, which may come in any pieces, and refuses it at the first byte that is wrong.
//!
//! A head is a walk through the steps of [`Step`]: the three parts of the request line, then name and value of each
//! header line, then an empty line. Each step runs over bytes of one class and stops at the first of another, which
//! either is the delimiter that leads to the next step or is the violation. So the verdict depends on the bytes only
//! and never on how they were cut into packets, and a byte is looked at once however slowly its neighbours come.

use super::class::{Class, Common, TARGET, TOKEN, VALUE};
use super::fields::{Field, Fields, Framing};
use super::{Violation, target};

/// How far the walk has come.
#[derive(Clone, Copy, Debug, Default)]
enum Step {
    #[default]
    Method,
    Target,
    Version,
    /// The first byte of a line after the request line.
    LineStart,
    Name,
    Value,
    /// The LF of a header line.
    LineEnd,
    /// The LF of the empty line.
    HeadEnd,
}

/// Whether to go on with the next step.
enum Walk {
    On,
    /// All that has come is read.
    Wait,
    Done(Framing),
}

/// A head of which a part has been read. Positions count from its first byte.
#[derive(Debug)]
pub(super) struct Head {
    step: Step,
    /// Where the current part begins.
    mark: usize,
    /// Up to where the head has been read.
    pos: usize,
    /// What the bytes of the current part have in common so far.
    common: Common,
    method_end: usize,
    http_11: bool,
    field: Option<Field>,
    lines: usize,
    fields: Fields,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            step: Step::default(),
            mark: 0,
            pos: 0,
            common: Common::ALL,
            method_end: 0,
            http_11: false,
            field: None,
            lines: 0,
            fields: Fields::default(),
        }
    }
}

impl Head {
    /// Reads on in `bytes`, which begin with the head and hold at least what they held the last time. Returns the
    /// head's length and its body's framing as soon as it is complete.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        limits: &super::Limits,
    ) -> Result<Option<(usize, Framing)>, Violation> {
        let within = &bytes[..bytes.len().min(limits.max_head_bytes)];
        loop {
            match self.step(within, limits.max_headers)? {
                Walk::On => {}
                Walk::Done(framing) => return Ok(Some((self.pos, framing))),
                Walk::Wait if bytes.len() >= limits.max_head_bytes => return Err(Violation::HeadTooLarge),
                Walk::Wait => return Ok(None),
            }
        }
    }

    fn step(&mut self, bytes: &[u8], max_headers: usize) -> Result<Walk, Violation> {
        match self.step {
            Step::Method => self.method(bytes),
            Step::Target => self.target(bytes),
            Step::Version => self.version(bytes),
            Step::LineStart => self.line_start(bytes, max_headers),
            Step::Name => self.name(bytes),
            Step::Value => self.value(bytes),
            Step::LineEnd => self.line_end(bytes),
            Step::HeadEnd => self.head_end(bytes),
        }
    }

    /// A TLS greeting or any other protocol mostly fails here, on its first byte.
    fn method(&mut self, bytes: &[u8]) -> Result<Walk, Violation> {
        let Some(byte) = self.run(bytes, TOKEN) else {
            return Ok(Walk::Wait);
        };
        if byte != b' ' || self.pos == 0 {
            return Err(unexpected(byte, Violation::MalformedRequestLine));
        }
        if &bytes[..self.pos] == b"CONNECT" {
            return Err(Violation::ConnectMethod);
        }
        self.method_end = self.pos;
        Ok(self.enter(Step::Target))
    }

    fn target(&mut self, bytes: &[u8]) -> Result<Walk, Violation> {
        let Some(byte) = self.run(bytes, TARGET) else {
            return Ok(Walk::Wait);
        };
        let target = &bytes[self.mark..self.pos];
        if target.len() > target::MAX_LEN {
            return Err(Violation::TargetTooLong);
        }
        if byte != b' ' || !target::is_valid(&bytes[..self.method_end], target, self.common) {
            return Err(unexpected(byte, Violation::MalformedRequestLine));
        }
        Ok(self.enter(Step::Version))
    }

    /// The version and the line's end; RFC 9112 2.3 spells it in capitals.
    fn version(&mut self, bytes: &[u8]) -> Result<Walk, Violation> {
        const EXPECTED: &[u8; 10] = b"HTTP/1.1\r\n";
        const MINOR: usize = 7;
        const LF: usize = 9;
        for (at, expected) in EXPECTED.iter().enumerate().skip(self.pos - self.mark) {
            let Some(byte) = bytes.get(self.pos).copied() else {
                return Ok(Walk::Wait);
            };
            match at {
                MINOR if matches!(byte, b'0' | b'1') => self.http_11 = byte == b'1',
                LF if byte != b'\n' => return Err(Violation::BareLf),
                _ if byte != *expected => return Err(unexpected(byte, Violation::MalformedRequestLine)),
                _ => {}
            }
            self.pos += 1;
        }
        self.step = Step::LineStart;
        Ok(Walk::On)
    }

    fn line_start(&mut self, bytes: &[u8], max_headers: usize) -> Result<Walk, Violation> {
        match bytes.get(self.pos) {
            None => return Ok(Walk::Wait),
            Some(b'\r') => return Ok(self.enter(Step::HeadEnd)),
            // RFC 9112 5.2, and 2.2 for the line right after the request line.
            Some(b' ' | b'\t') => return Err(Violation::FoldedHeader),
            Some(_) => {}
        }
        self.lines += 1;
        if self.lines > max_headers {
            return Err(Violation::TooManyHeaders);
        }
        self.mark = self.pos;
        self.step = Step::Name;
        Ok(Walk::On)
    }

    fn name(&mut self, bytes: &[u8]) -> Result<Walk, Violation> {
        let Some(byte) = self.run(bytes, TOKEN) else {
            return Ok(Walk::Wait);
        };
        let name = &bytes[self.mark..self.pos];
        match byte {
            b':' if !name.is_empty() => {}
            // RFC 9112 5.1: a server must refuse white space between a name and its colon.
            b' ' | b'\t' => return Err(Violation::SpaceInHeaderName),
            _ => return Err(unexpected(byte, Violation::MalformedHeader)),
        }
        // hyper cannot hold a longer one.
        if name.len() > usize::from(u16::MAX) {
            return Err(Violation::HeadTooLarge);
        }
        self.field = Some(Field::named(name));
        Ok(self.enter(Step::Value))
    }

    fn value(&mut self, bytes: &[u8]) -> Result<Walk, Violation> {
        match self.run(bytes, VALUE) {
            None => Ok(Walk::Wait),
            // The mark stays: the value is read when its line is known to end well.
            Some(b'\r') => {
                self.pos += 1;
                self.step = Step::LineEnd;
                Ok(Walk::On)
            }
            Some(byte) => Err(unexpected(byte, Violation::MalformedHeader)),
        }
    }

    fn line_end(&mut self, bytes: &[u8]) -> Result<Walk, Violation> {
        match bytes.get(self.pos) {
            None => Ok(Walk::Wait),
            Some(b'\n') => {
                let field = self.field.take().unwrap_or(Field::Other);
                self.fields.add(field, &bytes[self.mark..self.pos - 1])?;
                Ok(self.enter(Step::LineStart))
            }
            Some(_) => Err(Violation::BareLf),
        }
    }

    fn head_end(&mut self, bytes: &[u8]) -> Result<Walk, Violation> {
        match bytes.get(self.pos) {
            None => Ok(Walk::Wait),
            Some(b'\n') => {
                self.pos += 1;
                self.fields.finish(self.http_11).map(Walk::Done)
            }
            Some(_) => Err(Violation::BareLf),
        }
    }

    /// Goes over the delimiter to `step`, which begins behind it.
    fn enter(&mut self, step: Step) -> Walk {
        self.pos += 1;
        self.mark = self.pos;
        self.common = Common::ALL;
        self.step = step;
        Walk::On
    }

    /// Runs over bytes of `class` to the first other one; `None` while all that has come is of it.
    fn run(&mut self, bytes: &[u8], class: Class) -> Option<u8> {
        let (length, common) = class.run(&bytes[self.pos..], self.common);
        self.common = common;
        self.pos += length;
        bytes.get(self.pos).copied()
    }
}

/// A line feed in the wrong place is a line's end without CR; anything else is what it breaks.
fn unexpected(byte: u8, otherwise: Violation) -> Violation {
    if byte == b'\n' { Violation::BareLf } else { otherwise }
}
