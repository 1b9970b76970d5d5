//! Reasons to reject a request head, each with a message that its sender can act on.

/// Why the guard rejected a request.
///
/// Which status to respond with is the caller's choice: 431 for [`TooManyHeaders`](Self::TooManyHeaders) and
/// [`HeadTooLarge`](Self::HeadTooLarge), 414 for [`TargetTooLong`](Self::TargetTooLong), 408 for
/// [`HeadTimeout`](Self::HeadTimeout) and otherwise 400 are usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Violation {
    /// A line of the head ends in LF without CR, or contains a CR without LF (RFC 9112 section 2.2).
    BareLf,
    /// The first line is not `method SP target SP HTTP/1.x` with a valid target (RFC 9112 section 3). Other
    /// protocols, such as TLS, end here too.
    MalformedRequestLine,
    /// The target is longer than 65,534 bytes, the most that [`http::Uri`] can hold.
    TargetTooLong,
    /// The method is `CONNECT`, which is for proxies (RFC 9110 section 9.3.6).
    ConnectMethod,
    /// A header line has no colon, no name, or an invalid byte (RFC 9112 section 5).
    MalformedHeader,
    /// White space stands between a header's name and its colon (RFC 9112 section 5.1).
    SpaceInHeaderName,
    /// A header line begins with white space: obsolete line folding (RFC 9112 section 5.2).
    FoldedHeader,
    /// The head has more lines than [`Limits::max_headers`](crate::Limits::max_headers).
    TooManyHeaders,
    /// The head has more bytes than [`Limits::max_head_bytes`](crate::Limits::max_head_bytes), or a header's
    /// name more than 65,535.
    HeadTooLarge,
    /// The head was not complete within [`Limits::header_timeout`](crate::Limits::header_timeout).
    HeadTimeout,
    /// An HTTP/1.1 request has no `Host` (RFC 9112 section 3.2).
    MissingHost,
    /// The head has two `Host` lines (RFC 9112 section 3.2).
    RepeatedHost,
    /// `Host` is not a host with an optional port (RFC 9110 section 7.2).
    InvalidHost,
    /// The head has both `Content-Length` and `Transfer-Encoding` (RFC 9112 section 6.3).
    LengthAndEncoding,
    /// `Transfer-Encoding` is not a single `chunked`, or the request is HTTP/1.0 (RFC 9112 section 6.1).
    InvalidTransferEncoding,
    /// `Content-Length` is repeated or is not a decimal number (RFC 9112 section 6.3).
    InvalidContentLength,
}

use Violation::*;

impl Violation {
    /// All violations, in the order of their discriminants: `from_code` relies on it.
    pub(super) const ALL: [Self; 16] = [
        BareLf,
        MalformedRequestLine,
        TargetTooLong,
        ConnectMethod,
        MalformedHeader,
        SpaceInHeaderName,
        FoldedHeader,
        TooManyHeaders,
        HeadTooLarge,
        HeadTimeout,
        MissingHost,
        RepeatedHost,
        InvalidHost,
        LengthAndEncoding,
        InvalidTransferEncoding,
        InvalidContentLength,
    ];

    /// What is wrong with the request and how to correct it, as one English phrase for a response body.
    pub fn message(self) -> &'static str {
        match self {
            BareLf => "a line of the request's head does not end in CR LF; end each line with \\r\\n",
            MalformedRequestLine => {
                "the first line is not `METHOD /path HTTP/1.1`; percent-encode the target, \
                 and speak plain HTTP to this port"
            }
            TargetTooLong => "the request's target is too long; move the data into the body",
            ConnectMethod => "CONNECT is not supported; this server is not a proxy",
            MalformedHeader => "a header line is not `Name: value`, or holds a control character",
            SpaceInHeaderName => {
                "white space stands in or after a header's name; put the colon right after the name"
            }
            FoldedHeader => "a header line begins with white space; put each header on one line",
            TooManyHeaders => "the request has too many headers; send fewer",
            HeadTooLarge => "the request's head is too large; send fewer or shorter headers",
            HeadTimeout => "the request's head did not arrive in time; send it without pauses",
            MissingHost => "the request has no Host header, which HTTP/1.1 requires; add one",
            RepeatedHost => "the request has more than one Host header; send exactly one",
            InvalidHost => "the Host header is not a host name with an optional port",
            LengthAndEncoding => "the request has both Content-Length and Transfer-Encoding; send only one",
            InvalidTransferEncoding => "the only Transfer-Encoding is `chunked`, once, and with HTTP/1.1",
            InvalidContentLength => "Content-Length must stand once, as decimal digits",
        }
    }

    /// This violation as a nonzero number.
    pub(super) fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The violation with this code; `None` for 0 and other unused codes.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code.checked_sub(1)?)).copied()
    }
}
