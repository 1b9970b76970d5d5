//! The table of the README: what hyper accepts and the guard rejects.

use crate::Violation::{self, *};
use crate::fuzz::{End, Outcome, hyper_count, read};

/// Requests that hyper passes to its service. If hyper becomes stricter, the README's table has to change
/// too.
const ACCEPTED_BY_HYPER: &[(&str, Violation)] = &[
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        LengthAndEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        InvalidTransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        InvalidTransferEncoding,
    ),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na", InvalidContentLength),
    ("GET / HTTP/1.1\r\n\r\n", MissingHost),
    ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", RepeatedHost),
    ("GET / HTTP/1.1\r\nhost: a,b/c\r\n\r\n", InvalidHost),
    ("GET / HTTP/1.1\nhost: a\n\n", BareLf),
    ("GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n", MalformedRequestLine),
    ("GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n", MalformedRequestLine),
    ("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", MalformedRequestLine),
];

/// Requests to which hyper itself responds with an empty body.
const REJECTED_BY_HYPER: &[(&str, Violation)] = &[
    ("GET / HTTP/1.1\r\nhost : a\r\n\r\n", SpaceInHeaderName),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n", FoldedHeader),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\na", InvalidContentLength),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\naa", InvalidContentLength),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        InvalidTransferEncoding,
    ),
];

#[test]
fn the_guard_rejects_what_hyper_accepts() {
    for (input, violation) in ACCEPTED_BY_HYPER {
        assert_eq!(hyper_count(input.as_bytes()), 1, "{input:?}");
        assert_eq!(read(input.as_bytes(), 1024, 1024).end, End::Rejected(*violation), "{input:?}");
    }
}

#[test]
fn the_guard_says_why_where_hyper_does_not() {
    for (input, violation) in REJECTED_BY_HYPER {
        assert_eq!(hyper_count(input.as_bytes()), 0, "{input:?}");
        let expected = Outcome { passed: 0, end: End::Rejected(*violation) };
        assert_eq!(read(input.as_bytes(), 1024, 1024), expected, "{input:?}");
    }
}
