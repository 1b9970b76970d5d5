//! Incremental parser of a request head (RFC 9112 2.1 to 5), which rejects it at the first invalid byte.
//!
//! The states are those of [`Step`]: the three parts of the request line, then name and value of each header
//! line, then the empty line. Each step skips bytes of one class. The first byte of another class is either
//! the delimiter that leads to the next step, or a violation. So the result does not depend on how the bytes
//! were split into packets, and each byte is examined once, no matter how slowly the head arrives.

use super::class::{Class, Common, QUERY, TARGET, TOKEN, VALUE};
use super::fields::{Field, Fields, Framing};
use super::{Violation, target};

/// State of the parser.
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

/// Result of a step.
enum Progress {
    /// The next step can run.
    Next,
    /// The input is used up before the end of the step.
    NeedMore,
    /// The head is complete.
    Complete(Framing),
}

/// Parser of one head. Positions count from its first byte.
#[derive(Debug)]
pub(super) struct Head {
    step: Step,
    /// Start of the current part.
    start: usize,
    /// End of the input examined so far.
    pos: usize,
    /// Classes that all bytes of the current part belong to.
    common: Common,
    method_end: usize,
    http_11: bool,
    /// Whether the target has quotation marks.
    quotes: bool,
    /// Header whose value is being read.
    field: Option<Field>,
    /// Header lines so far.
    lines: usize,
    fields: Fields,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            step: Step::default(),
            start: 0,
            pos: 0,
            common: Common::ALL,
            method_end: 0,
            http_11: false,
            quotes: false,
            field: None,
            lines: 0,
            fields: Fields::default(),
        }
    }
}

impl Head {
    /// Continues with `bytes`: the head from its first byte, with the input of all earlier calls. Returns the
    /// head's length and the framing of its body once it is complete.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        limits: &super::Limits,
    ) -> Result<Option<(usize, Framing)>, Violation> {
        let within = &bytes[..bytes.len().min(limits.max_head_bytes)];
        loop {
            match self.step(within, limits.max_headers)? {
                Progress::Next => {}
                Progress::Complete(framing) => return Ok(Some((self.pos, framing))),
                Progress::NeedMore if bytes.len() >= limits.max_head_bytes => {
                    return Err(Violation::HeadTooLarge);
                }
                Progress::NeedMore => return Ok(None),
            }
        }
    }

    pub(super) fn is_http_11(&self) -> bool {
        self.http_11
    }

    /// Whether the client asks to upgrade the connection, which only HTTP/1.1 can (RFC 9110 7.8).
    pub(super) fn asks_for_upgrade(&self) -> bool {
        self.http_11 && self.fields.has_upgrade()
    }

    /// Whether the query of the target has quotation marks.
    pub(super) fn has_quotes(&self) -> bool {
        self.quotes
    }

    fn step(&mut self, bytes: &[u8], max_headers: usize) -> Result<Progress, Violation> {
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

    /// A TLS handshake and most other protocols fail here, on their first byte.
    fn method(&mut self, bytes: &[u8]) -> Result<Progress, Violation> {
        let Some(byte) = self.run(bytes, TOKEN) else {
            return Ok(Progress::NeedMore);
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

    fn target(&mut self, bytes: &[u8]) -> Result<Progress, Violation> {
        let Some(byte) = self.run(bytes, TARGET) else {
            return Ok(Progress::NeedMore);
        };
        let target = &bytes[self.start..self.pos];
        // The class of queries without them is that of nearly all targets.
        let quotes = if self.common.within(QUERY) { 0 } else { target::quotes_in_query(target) };
        if target.len() + 2 * quotes > target::MAX_LEN {
            return Err(Violation::TargetTooLong);
        }
        self.quotes = quotes > 0;
        if byte != b' ' || !target::is_valid(&bytes[..self.method_end], target, self.common) {
            return Err(unexpected(byte, Violation::MalformedRequestLine));
        }
        Ok(self.enter(Step::Version))
    }

    /// HTTP version and line end. The version is case-sensitive (RFC 9112 2.3).
    fn version(&mut self, bytes: &[u8]) -> Result<Progress, Violation> {
        const EXPECTED: &[u8; 10] = b"HTTP/1.1\r\n";
        const MINOR: usize = 7;
        const LF: usize = 9;
        for (at, expected) in EXPECTED.iter().enumerate().skip(self.pos - self.start) {
            let Some(byte) = bytes.get(self.pos).copied() else {
                return Ok(Progress::NeedMore);
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
        Ok(Progress::Next)
    }

    fn line_start(&mut self, bytes: &[u8], max_headers: usize) -> Result<Progress, Violation> {
        match bytes.get(self.pos) {
            None => return Ok(Progress::NeedMore),
            Some(b'\r') => return Ok(self.enter(Step::HeadEnd)),
            // RFC 9112 5.2; for the line after the request line, 2.2.
            Some(b' ' | b'\t') => return Err(Violation::FoldedHeader),
            Some(_) => {}
        }
        self.lines += 1;
        if self.lines > max_headers {
            return Err(Violation::TooManyHeaders);
        }
        self.start = self.pos;
        self.step = Step::Name;
        Ok(Progress::Next)
    }

    fn name(&mut self, bytes: &[u8]) -> Result<Progress, Violation> {
        let Some(byte) = self.run(bytes, TOKEN) else {
            return Ok(Progress::NeedMore);
        };
        let name = &bytes[self.start..self.pos];
        match byte {
            b':' if !name.is_empty() => {}
            // RFC 9112 5.1: a server must reject white space between a name and its colon.
            b' ' | b'\t' => return Err(Violation::SpaceInHeaderName),
            _ => return Err(unexpected(byte, Violation::MalformedHeader)),
        }
        // hyper cannot store a longer name.
        if name.len() > usize::from(u16::MAX) {
            return Err(Violation::HeadTooLarge);
        }
        self.field = Some(Field::named(name));
        Ok(self.enter(Step::Value))
    }

    fn value(&mut self, bytes: &[u8]) -> Result<Progress, Violation> {
        match self.run(bytes, VALUE) {
            None => Ok(Progress::NeedMore),
            // `start` stays: the value is evaluated once its line end is known to be valid.
            Some(b'\r') => {
                self.pos += 1;
                self.step = Step::LineEnd;
                Ok(Progress::Next)
            }
            Some(byte) => Err(unexpected(byte, Violation::MalformedHeader)),
        }
    }

    fn line_end(&mut self, bytes: &[u8]) -> Result<Progress, Violation> {
        match bytes.get(self.pos) {
            None => Ok(Progress::NeedMore),
            Some(b'\n') => {
                let field = self.field.take().unwrap_or(Field::Other);
                self.fields.add(field, &bytes[self.start..self.pos - 1])?;
                Ok(self.enter(Step::LineStart))
            }
            Some(_) => Err(Violation::BareLf),
        }
    }

    fn head_end(&mut self, bytes: &[u8]) -> Result<Progress, Violation> {
        match bytes.get(self.pos) {
            None => Ok(Progress::NeedMore),
            Some(b'\n') => {
                self.pos += 1;
                self.fields.finish(self.http_11).map(Progress::Complete)
            }
            Some(_) => Err(Violation::BareLf),
        }
    }

    /// Skips the delimiter and enters `step`.
    fn enter(&mut self, step: Step) -> Progress {
        self.pos += 1;
        self.start = self.pos;
        self.common = Common::ALL;
        self.step = step;
        Progress::Next
    }

    /// Skips bytes of `class` and returns the first other one; `None` if the input ends before.
    fn run(&mut self, bytes: &[u8], class: Class) -> Option<u8> {
        let (length, common) = class.run(&bytes[self.pos..], self.common);
        self.common = common;
        self.pos += length;
        bytes.get(self.pos).copied()
    }
}

/// The violation by an unexpected byte: a line feed is a line end without CR, anything else is `otherwise`.
fn unexpected(byte: u8, otherwise: Violation) -> Violation {
    if byte == b'\n' { Violation::BareLf } else { otherwise }
}
