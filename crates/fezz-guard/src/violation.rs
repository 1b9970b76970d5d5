//! Everything that a request's head can do wrong, in words that its sender can act on.

/// Why a request was withheld from the HTTP stack. Which status answers it is the caller's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Violation {
    /// A line of the head ends in LF without CR, or holds a CR without LF.
    BareLf,
    /// The first line is not `method SP target SP HTTP/1.x`.
    MalformedRequestLine,
    /// The target is longer than any URI that the stack can hold.
    TargetTooLong,
    /// `CONNECT`: this host is no proxy.
    ConnectMethod,
    /// A header line without a colon, without a name, or with a byte that may not be there.
    MalformedHeader,
    /// White space before the colon of a header.
    SpaceInHeaderName,
    /// A header line that begins with white space: the obsolete line folding.
    FoldedHeader,
    /// More header lines than allowed.
    TooManyHeaders,
    /// More bytes than allowed before the end of the head.
    HeadTooLarge,
    /// The head did not arrive in time.
    HeadTimeout,
    /// HTTP/1.1 without `Host`.
    MissingHost,
    /// Two `Host` lines.
    RepeatedHost,
    /// A `Host` that is not a host and a port.
    InvalidHost,
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndEncoding,
    /// Anything but exactly one `Transfer-Encoding: chunked`, or that one in HTTP/1.0.
    InvalidTransferEncoding,
    /// Anything but exactly one `Content-Length` of digits.
    InvalidContentLength,
}

use Violation::*;

impl Violation {
    /// In the order of their discriminants, which `from_code` relies on.
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

    /// What was wrong with the request, and what to do about it.
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

    /// This violation as a number that is never 0.
    pub(super) fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The violation that `code` stands for.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code.checked_sub(1)?)).copied()
    }
}
