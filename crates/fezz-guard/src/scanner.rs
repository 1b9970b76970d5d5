//! Finds where each message of a connection begins and ends: head, body, head, body, as RFC 9112 6 delimits them.
//!
//! A scanner is a pure state machine. It is given the bytes that hyper has not seen yet and says how many of them
//! hyper may see: complete heads that are sound, and whatever there is of bodies. It never sets a byte of a head free
//! before the whole head is known to be good.

use std::sync::Arc;

use super::chunked::{Broken, Chunked};
use super::fields::Framing;
use super::head::Head;
use super::{Limits, Violation};

/// How an HTTP/2 client with prior knowledge begins (RFC 9113 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the scanner says about a run of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// So many bytes from the front may pass.
    pub(super) pass: usize,
    pub(super) then: Then,
}

/// What is to be done about the bytes behind those.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// They are the beginning of a head: show them again, with what comes behind them.
    Wait,
    /// They are a head that must not reach hyper. The connection ends here.
    Reject(Violation),
    /// A body went wrong, half-way through. The connection ends here.
    Break(Broken),
    /// The connection speaks HTTP/2. Everything passes from here on.
    Through,
}

/// Which part of which message comes next.
#[derive(Debug)]
enum Part {
    Head(Head),
    Length(u64),
    Chunked(Chunked),
}

/// Follows one connection.
#[derive(Debug)]
pub(super) struct Scanner {
    limits: Arc<Limits>,
    part: Part,
    /// Whether no head has been completed yet.
    first: bool,
    /// Whether the one empty line before the next head has been there.
    empty_line: bool,
}

impl Scanner {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, part: Part::Head(Head::default()), first: true, empty_line: false }
    }

    /// Whether a body is still to come.
    pub(super) fn in_body(&self) -> bool {
        !matches!(self.part, Part::Head(_))
    }

    /// Whether the connection still waits for its first complete head.
    pub(super) fn is_fresh(&self) -> bool {
        self.first
    }

    /// Reads `bytes`: what the last call left over, with what has come since.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut pass = 0;
        loop {
            let rest = &bytes[pass..];
            if rest.is_empty() {
                return Scan { pass, then: Then::Wait };
            }
            let (taken, end) = match self.part {
                Part::Head(_) => self.head(rest),
                Part::Length(_) => (self.length(rest), None),
                Part::Chunked(_) => self.chunked(rest),
            };
            pass += taken;
            if let Some(then) = end {
                return Scan { pass, then };
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> (usize, Option<Then>) {
        if self.first && self.may_be_preface(bytes) {
            return (0, Some(if bytes.len() < PREFACE.len() { Then::Wait } else { Then::Through }));
        }
        if bytes[0] == b'\r' {
            return self.leading_line(bytes);
        }
        let Part::Head(head) = &mut self.part else {
            return (0, None);
        };
        match head.read(bytes, &self.limits) {
            Ok(None) => (0, Some(Then::Wait)),
            Ok(Some((length, framing))) => {
                self.begin_body(framing);
                (length, None)
            }
            Err(violation) => (0, Some(Then::Reject(violation))),
        }
    }

    fn may_be_preface(&self, bytes: &[u8]) -> bool {
        let known = bytes.len().min(PREFACE.len());
        !self.empty_line && bytes[..known] == PREFACE[..known]
    }

    /// RFC 9112 2.2 asks to ignore at least one empty line before a request; hyper ignores any number of them, and
    /// skips the one that passes here.
    fn leading_line(&mut self, bytes: &[u8]) -> (usize, Option<Then>) {
        match bytes.get(1) {
            _ if self.empty_line => (0, Some(Then::Reject(Violation::MalformedRequestLine))),
            None => (0, Some(Then::Wait)),
            Some(b'\n') => {
                self.empty_line = true;
                (2, None)
            }
            Some(_) => (0, Some(Then::Reject(Violation::BareLf))),
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

    fn chunked(&mut self, bytes: &[u8]) -> (usize, Option<Then>) {
        let Part::Chunked(body) = &mut self.part else {
            return (0, None);
        };
        let (taken, sound) = body.read(bytes);
        if body.is_complete() {
            self.part = Part::Head(Head::default());
        }
        (taken, sound.err().map(Then::Break))
    }
}
