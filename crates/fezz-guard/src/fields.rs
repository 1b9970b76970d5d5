//! `Host`, `Content-Length` and `Transfer-Encoding`: the headers that decide the recipient and the end of a
//! request.
//!
//! Each may occur once and needs an unambiguous value. hyper accepts some repeated and contradicting ones,
//! and normalizes them before a service could check.

use super::{Violation, target};

/// How the end of a message body is determined (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length in bytes: that of `Content-Length`, or 0 without one.
    Length(u64),
    /// By the chunked transfer coding.
    Chunked,
}

/// The headers that matter for framing and routing, told apart by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Host,
    ContentLength,
    TransferEncoding,
    Upgrade,
    Other,
}

impl Field {
    pub(super) fn named(name: &[u8]) -> Self {
        // The length rules most names out without comparing bytes.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => Self::Host,
            7 if name.eq_ignore_ascii_case(b"upgrade") => Self::Upgrade,
            14 if name.eq_ignore_ascii_case(b"content-length") => Self::ContentLength,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => Self::TransferEncoding,
            _ => Self::Other,
        }
    }
}

/// The headers of a head so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl Fields {
    /// Adds a header line. White space around a value is not part of it (RFC 9112 5).
    pub(super) fn add(&mut self, field: Field, value: &[u8]) -> Result<(), Violation> {
        match field {
            Field::Other => Ok(()),
            Field::Host => self.host(value.trim_ascii()),
            Field::ContentLength => self.content_length(value.trim_ascii()),
            Field::TransferEncoding => self.transfer_encoding(value.trim_ascii()),
            Field::Upgrade => {
                self.upgrade = true;
                Ok(())
            }
        }
    }

    /// Whether there is an `Upgrade` header.
    pub(super) fn has_upgrade(self) -> bool {
        self.upgrade
    }

    /// Checks the complete head and returns the framing of its body.
    pub(super) fn finish(self, http_11: bool) -> Result<Framing, Violation> {
        // RFC 9112 3.2: a server must respond with 400 to an HTTP/1.1 request without Host.
        if http_11 && !self.host {
            return Err(Violation::MissingHost);
        }
        match (self.length, self.chunked) {
            // RFC 9112 6.1 lets a server read it as chunked, but warns that it may be request smuggling.
            (Some(_), true) => Err(Violation::LengthAndEncoding),
            // HTTP/1.0 has no transfer codings: the framing is faulty (RFC 9112 6.1).
            (None, true) if !http_11 => Err(Violation::InvalidTransferEncoding),
            (None, true) => Ok(Framing::Chunked),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.host {
            return Err(Violation::RepeatedHost);
        }
        self.host = true;
        if target::is_host(value) { Ok(()) } else { Err(Violation::InvalidHost) }
    }

    /// Rejects repetitions with equal values too, where RFC 9112 6.3 leaves the choice.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        match parse_length(value) {
            Some(length) if self.length.is_none() => {
                self.length = Some(length);
                Ok(())
            }
            _ => Err(Violation::InvalidContentLength),
        }
    }

    /// Accepts `chunked` only: parsers disagree about the end of a body in any other coding (RFC 9112 6.3).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::InvalidTransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }
}

/// Parses decimal digits. `str::parse` would accept a sign.
fn parse_length(value: &[u8]) -> Option<u64> {
    // hyper reserves the two largest values.
    const MAX: u64 = u64::MAX - 2;
    if value.is_empty() {
        return None;
    }
    let length = value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    (length <= MAX).then_some(length)
}
