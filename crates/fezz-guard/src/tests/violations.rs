//! Each violation: which heads it rejects, independent of how the input is split and of what stands around
//! them.

use super::scanner::{Outcome, passes, scan, with};
use crate::Violation::{self, *};
use crate::scanner::Verdict;

#[track_caller]
fn rejects(input: impl AsRef<[u8]>, violation: Violation) {
    let input = input.as_ref();
    let expected = Outcome { passed: 0, verdict: Verdict::Reject(violation) };
    assert_eq!(scan(input), expected, "{}", input.escape_ascii());
    // Neither input behind it nor a valid request before it changes the verdict.
    assert_eq!(scan(&[input, b"GET / HTTP/1.1\r\n\r\n"].concat()), expected);
    let valid = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx";
    let behind = Outcome { passed: valid.len(), verdict: Verdict::Reject(violation) };
    assert_eq!(scan(&[valid, input].concat()), behind);
}

#[test]
fn line_ends_must_be_cr_lf() {
    for head in [
        "\n",
        "\rG",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\r\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\r\n",
        "GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost\n",
    ] {
        rejects(head, BareLf);
    }
}

#[test]
fn request_lines_have_one_syntax() {
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / http/1.1",
        "GET / HTTP/1.10",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http:/// HTTP/1.1",
        "G@T / HTTP/1.1",
        "PRI * HTTP/2.0",
        "GET /<> HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET http://a/#b HTTP/1.1",
        "GET HTTP/1.1",
        "",
    ] {
        // One empty line may precede a request.
        let line = if line.is_empty() { "\r\n\r" } else { line };
        let input = format!("{line}\r\nhost: a\r\n\r\n");
        let outcome = scan(input.as_bytes());
        assert_eq!(outcome.verdict, Verdict::Reject(MalformedRequestLine), "{line:?}");
    }
    rejects(b"GET /\xff HTTP/1.1\r\n", MalformedRequestLine);
    rejects("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", ConnectMethod);
}

#[test]
fn other_protocols_fail_at_once() {
    for start in [&b"\x16\x03\x01"[..], b"\0", b"SSH-2.0-x\r\n", b"EHLO x\r\n", b"\x80", b"{\"a\": 1}"] {
        rejects(start, MalformedRequestLine);
    }
    assert_eq!(scan(b"\x16").verdict, Verdict::Reject(MalformedRequestLine));
}

#[test]
fn header_lines_have_one_syntax() {
    for (headers, violation) in [
        ("a: b\r\n c\r\n", FoldedHeader),
        ("\ta: b\r\n", FoldedHeader),
        ("a : b\r\n", SpaceInHeaderName),
        ("a\t: b\r\n", SpaceInHeaderName),
        ("a b\r\n", SpaceInHeaderName),
        ("a\r\n", MalformedHeader),
        (": b\r\n", MalformedHeader),
        ("a(: b\r\n", MalformedHeader),
        ("\u{e9}: b\r\n", MalformedHeader),
        ("a: \0\r\n", MalformedHeader),
        ("a: b\x7f\r\n", MalformedHeader),
        ("a: b\x0b\r\n", MalformedHeader),
    ] {
        rejects(with(headers), violation);
    }
    rejects("GET / HTTP/1.1\r\n host: a\r\n\r\n", FoldedHeader);
}

#[test]
fn host_occurs_once() {
    rejects("GET / HTTP/1.1\r\n\r\n", MissingHost);
    rejects("GET http://a/ HTTP/1.1\r\nhosts: a\r\n\r\n", MissingHost);
    rejects(with("host: a\r\n"), RepeatedHost);
    rejects("GET / HTTP/1.0\r\nhost: a\r\nHost: b\r\n\r\n", RepeatedHost);
    for host in [
        "a b", "a/", "a?", "a#", "u@a", "a,b", "a:x", "a:1:2", "a:123456", "[::1", "::1]", "[a]b", "a[::1]",
        "[]", "[[::1]]", "\u{e9}", "a\tb", "<a>", "a\\b", "http://a",
    ] {
        rejects(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"), InvalidHost);
    }
}

#[test]
fn framing_is_unambiguous() {
    for length in
        ["", "+1", "-1", "0x1", "1,1", "1, 1", "1 1", "1a", "99999999999999999999", "18446744073709551614"]
    {
        rejects(with(&format!("content-length: {length}\r\n")), InvalidContentLength);
    }
    rejects(with("content-length: 1\r\nContent-Length: 1\r\n"), InvalidContentLength);
    for coding in
        ["", "gzip", "gzip, chunked", "chunked, chunked", "chunked,", "identity", "\u{b}chunked", "xchunked"]
    {
        let expected = if coding.starts_with('\u{b}') { MalformedHeader } else { InvalidTransferEncoding };
        rejects(with(&format!("transfer-encoding: {coding}\r\n")), expected);
    }
    rejects(with("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"), InvalidTransferEncoding);
    rejects("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", InvalidTransferEncoding);
    rejects(with("content-length: 1\r\ntransfer-encoding: chunked\r\n"), LengthAndEncoding);
    rejects(with("transfer-encoding: chunked\r\ncontent-length: 0\r\n"), LengthAndEncoding);
}

#[test]
fn limits_are_exact() {
    passes(with(&"a: b\r\n".repeat(7)));
    rejects(with(&"a: b\r\n".repeat(8)), TooManyHeaders);
    let padding = 1024 - with("a: \r\n").len();
    passes(with(&format!("a: {}\r\n", "x".repeat(padding))));
    rejects(with(&format!("a: {}\r\n", "x".repeat(padding + 1))), HeadTooLarge);
    rejects(format!("GET /{}", "x".repeat(2000)), HeadTooLarge);
}
