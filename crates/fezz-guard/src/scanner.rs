//! Message framing of a connection (RFC 9112 6): finds the start and end of each head and body.
//!
//! The scanner is a state machine without I/O. Its input are the bytes that hyper has not read yet; its
//! result is how many of them hyper may read: valid complete heads, and bytes of bodies. No byte of a head
//! passes before the whole head is known to be valid.

use std::sync::Arc;

use super::chunked::{ChunkError, Chunked};
use super::fields::Framing;
use super::head::Head;
use super::{Limits, Violation};

/// Connection preface of an HTTP/2 client with prior knowledge (RFC 9113 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Result of scanning some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// How many bytes may pass to hyper.
    pub(super) pass: usize,
    pub(super) verdict: Verdict,
}

/// What to do with the bytes behind those that pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep them: they begin a head. Scan them again, together with further input.
    NeedMore,
    /// Drop them: they are an invalid head. The connection ends.
    Reject(Violation),
    /// Drop them: they are an invalid part of a body. The connection ends.
    InvalidBody(ChunkError),
    /// Pass them and all further input: the connection speaks HTTP/2.
    Http2,
    /// Keep them until the upgrade that the head before them asks for is decided: they follow the protocol that the
    /// response switches to.
    Offer,
    /// Rewrite the head of this length that they begin with: its query has quotation marks, which hyper does not take.
    Quoted(usize),
}

/// The part of a message that comes next.
#[derive(Debug)]
enum Part {
    Head(Head),
    /// A body with so many bytes left.
    Length(u64),
    Chunked(Chunked),
}

/// Scanner of one connection.
#[derive(Debug)]
pub(super) struct Scanner {
    limits: Arc<Limits>,
    part: Part,
    /// Whether no head has been completed yet.
    first: bool,
    /// Whether an empty line has preceded the next head.
    empty_line: bool,
    /// Whether the last head was one of HTTP/1.1.
    http_11: bool,
    /// Whether the last head asks for an upgrade that is not decided yet.
    offer: bool,
}

impl Scanner {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            part: Part::Head(Head::default()),
            first: true,
            empty_line: false,
            http_11: false,
            offer: false,
        }
    }

    /// Whether the current message's body is incomplete.
    pub(super) fn in_body(&self) -> bool {
        !matches!(self.part, Part::Head(_))
    }

    /// Whether no head has been completed yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.first
    }

    /// Whether the last complete head was one of HTTP/1.1.
    pub(super) fn http_11(&self) -> bool {
        self.http_11
    }

    /// Goes on behind a head whose upgrade was declined.
    pub(super) fn declined(&mut self) {
        self.offer = false;
    }

    /// Scans `bytes`: those that the last call did not let pass, then new input.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut pass = 0;
        loop {
            if self.offer {
                return Scan { pass, verdict: Verdict::Offer };
            }
            let rest = &bytes[pass..];
            if rest.is_empty() {
                return Scan { pass, verdict: Verdict::NeedMore };
            }
            let (taken, end) = match self.part {
                Part::Head(_) => self.head(rest),
                Part::Length(_) => (self.length(rest), None),
                Part::Chunked(_) => self.chunked(rest),
            };
            pass += taken;
            if let Some(verdict) = end {
                return Scan { pass, verdict };
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> (usize, Option<Verdict>) {
        if self.first && self.may_be_preface(bytes) {
            return (0, Some(if bytes.len() < PREFACE.len() { Verdict::NeedMore } else { Verdict::Http2 }));
        }
        if bytes[0] == b'\r' {
            return self.leading_line(bytes);
        }
        let Part::Head(head) = &mut self.part else {
            return (0, None);
        };
        match head.read(bytes, &self.limits) {
            Ok(None) => (0, Some(Verdict::NeedMore)),
            Ok(Some((length, framing))) => {
                self.http_11 = head.is_http_11();
                let quoted = head.has_quotes();
                // With a body, the end of which would have to be found first, no upgrade is offered.
                self.offer = head.asks_for_upgrade() && framing == Framing::Length(0);
                self.begin_body(framing);
                if quoted { (0, Some(Verdict::Quoted(length))) } else { (length, None) }
            }
            Err(violation) => (0, Some(Verdict::Reject(violation))),
        }
    }

    fn may_be_preface(&self, bytes: &[u8]) -> bool {
        let known = bytes.len().min(PREFACE.len());
        !self.empty_line && bytes[..known] == PREFACE[..known]
    }

    /// Lets one empty line before a request line pass, which RFC 9112 2.2 asks for. hyper ignores any number
    /// of them.
    fn leading_line(&mut self, bytes: &[u8]) -> (usize, Option<Verdict>) {
        match bytes.get(1) {
            _ if self.empty_line => (0, Some(Verdict::Reject(Violation::MalformedRequestLine))),
            None => (0, Some(Verdict::NeedMore)),
            Some(b'\n') => {
                self.empty_line = true;
                (2, None)
            }
            Some(_) => (0, Some(Verdict::Reject(Violation::BareLf))),
        }
    }

    fn begin_body(&mut self, framing: Framing) {
        self.first = false;
        self.empty_line = false;
        self.part = match framing {
            Framing::Length(0) => Part::Head(Head::default()),
            Framing::Length(length) => Part::Length(length),
            Framing::Chunked => Part::Chunked(Chunked::new()),
        };
    }

    fn length(&mut self, bytes: &[u8]) -> usize {
        let Part::Length(left) = &mut self.part else {
            return 0;
        };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        *left -= taken as u64;
        if *left == 0 {
            self.part = Part::Head(Head::default());
        }
        taken
    }

    fn chunked(&mut self, bytes: &[u8]) -> (usize, Option<Verdict>) {
        let Part::Chunked(body) = &mut self.part else {
            return (0, None);
        };
        let (taken, outcome) = body.read(bytes);
        if body.is_complete() {
            self.part = Part::Head(Head::default());
        }
        (taken, outcome.err().map(Verdict::InvalidBody))
    }
}
