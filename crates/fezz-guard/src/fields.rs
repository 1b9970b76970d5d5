//! The three headers that decide who gets a request and where it ends. Each may stand once and mean one thing; hyper
//! forgives repeated and contradicting ones, and drops the evidence before a service can look.

use super::{Violation, target};

/// How a message's body is delimited (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes; none without a `Content-Length`.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
}

/// The headers that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Host,
    ContentLength,
    TransferEncoding,
    Other,
}

impl Field {
    pub(super) fn named(name: &[u8]) -> Self {
        // The length tells most names apart without reading them.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => Self::Host,
            14 if name.eq_ignore_ascii_case(b"content-length") => Self::ContentLength,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => Self::TransferEncoding,
            _ => Self::Other,
        }
    }
}

/// What a head has said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    host: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Fields {
    /// Takes one header line. White space around a value is not part of it (RFC 9112 5).
    pub(super) fn add(&mut self, field: Field, value: &[u8]) -> Result<(), Violation> {
        match field {
            Field::Other => Ok(()),
            Field::Host => self.host(value.trim_ascii()),
            Field::ContentLength => self.content_length(value.trim_ascii()),
            Field::TransferEncoding => self.transfer_encoding(value.trim_ascii()),
        }
    }

    /// What the whole head amounts to.
    pub(super) fn finish(self, http_11: bool) -> Result<Framing, Violation> {
        // RFC 9112 3.2: a server must answer 400 to HTTP/1.1 without Host.
        if http_11 && !self.host {
            return Err(Violation::MissingHost);
        }
        match (self.length, self.chunked) {
            // RFC 9112 6.1 lets a server take this one as chunked, and says itself that it may be smuggling.
            (Some(_), true) => Err(Violation::LengthAndEncoding),
            // An HTTP/1.0 sender does not know the coding; its framing is faulty (RFC 9112 6.1).
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

    /// Equal repetitions are refused too, which RFC 9112 6.3 leaves open: some reader will take only one of them.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        match parse_length(value) {
            Some(length) if self.length.is_none() => {
                self.length = Some(length);
                Ok(())
            }
            _ => Err(Violation::InvalidContentLength),
        }
    }

    /// A body under any other coding has no end that all readers agree on (RFC 9112 6.3).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::InvalidTransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }
}

/// Digits only: `str::parse` would take a sign.
fn parse_length(value: &[u8]) -> Option<u64> {
    // hyper keeps the two highest numbers for its own use.
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
