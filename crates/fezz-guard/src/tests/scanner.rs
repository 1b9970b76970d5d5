//! The scanner: which bytes pass, independent of how the input is split.

use crate::Violation::{self, MalformedRequestLine, MissingHost};
use crate::fuzz::limits;
use crate::io::REJECTED_REQUEST;
use crate::scanner::{Scanner, Verdict};
use crate::state::REJECTED_METHOD;

/// Result of scanning an input: how many bytes passed, and the last verdict.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) passed: usize,
    pub(super) verdict: Verdict,
}

/// Scans `pieces` as the socket does: bytes that did not pass are scanned again.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut scanner = Scanner::new(limits());
    let (mut held, mut passed) = (Vec::new(), 0);
    for piece in pieces {
        held.extend_from_slice(piece);
        let scan = scanner.scan(&held);
        passed += scan.pass;
        held.drain(..scan.pass);
        if scan.verdict != Verdict::NeedMore {
            return Outcome { passed, verdict: scan.verdict };
        }
    }
    Outcome { passed, verdict: Verdict::NeedMore }
}

/// Scans `input`, and checks that the result does not depend on how it is split.
#[track_caller]
pub(super) fn scan(input: &[u8]) -> Outcome {
    let whole = feed([input]);
    assert_eq!(feed(input.chunks(1)), whole, "byte by byte: {}", input.escape_ascii());
    for at in 1..input.len() {
        let (front, back) = input.split_at(at);
        assert_eq!(feed([front, back]), whole, "cut at {at}: {}", input.escape_ascii());
    }
    whole
}

#[track_caller]
pub(super) fn passes(input: impl AsRef<[u8]>) {
    let input = input.as_ref();
    assert_eq!(
        scan(input),
        Outcome { passed: input.len(), verdict: Verdict::NeedMore },
        "{}",
        input.escape_ascii()
    );
}

/// A request for `/` with these header lines.
pub(super) fn with(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n")
}

#[test]
fn valid_heads_pass() {
    passes("GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
    passes("GET / HTTP/1.0\r\n\r\n");
    passes("\r\nGET / HTTP/1.1\r\nHOST:\t[::1]:80 \r\n\r\n");
    passes("OPTIONS * HTTP/1.1\r\nhost:\r\n\r\n");
    passes("M-SEARCH /a/%20b?c=d&e[]={f}|^`?/ HTTP/1.1\r\nhost: a_b.c\r\nx:\r\ny: \x09\u{e9}\r\n\r\n");
    passes("GET http://example.com:80/a?b HTTP/1.1\r\nhost: example.com\r\n\r\n");
    passes("GET /\u{fc} HTTP/1.1\r\nhost: a\r\n\r\n");
    passes(REJECTED_REQUEST);
    assert!(REJECTED_REQUEST.starts_with(REJECTED_METHOD.as_bytes()));
}

#[test]
fn incomplete_heads_are_withheld() {
    let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(scan(&head[..end]), Outcome { passed: 0, verdict: Verdict::NeedMore }, "{end}");
    }
}

#[test]
fn bodies_end_at_their_framing() {
    let next = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";
    let invalid = "GET /next HTTP/1.1\r\n\r\n";
    for (headers, body) in [
        ("", ""),
        ("content-length: 0\r\n", ""),
        ("content-length: 5\r\n", "\r\n\r\n\0"),
        ("Content-Length:\t007 \r\n", "GET / H"),
        ("transfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: CHUNKED \r\n", "5\r\n0\r\n\r\n\r\n00A;a=\"b\"\r\n0123456789\r\n000\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "1 \t;x\r\nx\r\n0;\r\nx-sum: 1\r\ny:\r\n\r\n"),
    ] {
        let message = with(headers) + body;
        passes(message.clone() + next + &message);
        let expected = Outcome { passed: message.len(), verdict: Verdict::Reject(MissingHost) };
        assert_eq!(scan((message + invalid).as_bytes()), expected);
    }
}

#[test]
fn invalid_chunks_are_rejected() {
    let head = with("transfer-encoding: chunked\r\n");
    let long_line = format!("1;{}", "x".repeat(5000));
    let long_trailers = format!("0\r\na: {}", "x".repeat(9000));
    for (valid, invalid) in [
        ("", "\r\n"),
        ("", "x"),
        ("", " 1\r\n"),
        ("", "+1\r\n"),
        ("", ";\r\n"),
        ("1", "\n"),
        ("1\r", "x"),
        ("1 ", "\r\n"),
        ("1 ", "1\r\n"),
        ("1;a", "\n"),
        ("1;a", "\0"),
        ("1\r\nx", "x"),
        ("1\r\nx\r", "\r"),
        ("1\r\nx", "\n"),
        ("0\r\n", "\n"),
        ("0\r\n", " a: b\r\n"),
        ("0\r\na", "\r\n"),
        ("0\r\na: b", "\n"),
        ("0\r\na: b\r", "\r"),
        ("0\r\n", ":"),
        ("0\r\n\r", "\r"),
        ("0000000000000001", "0\r\n"),
        ("1", "x"),
    ] {
        let outcome = scan(format!("{head}{valid}{invalid}").as_bytes());
        assert!(matches!(outcome.verdict, Verdict::InvalidBody(_)), "{valid:?} {invalid:?}: {outcome:?}");
        assert_eq!(outcome.passed, head.len() + valid.len(), "{valid:?} {invalid:?}");
    }
    for body in [long_line, long_trailers] {
        // Too long to be split at each position.
        let outcome = feed([(head.clone() + &body).as_bytes()]);
        assert!(matches!(outcome.verdict, Verdict::InvalidBody(_)));
    }
}

#[test]
fn the_http_2_preface_lets_all_pass() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(scan(preface.as_bytes()), Outcome { passed: 0, verdict: Verdict::Http2 });
    assert_eq!(feed([(preface.to_owned() + "\0\0").as_bytes()]).verdict, Verdict::Http2);
    for end in 0..preface.len() {
        assert_eq!(scan(&preface.as_bytes()[..end]), Outcome { passed: 0, verdict: Verdict::NeedMore });
    }
    assert_eq!(scan(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r").verdict, Verdict::Reject(MalformedRequestLine));
    // Only at the beginning of the connection.
    let later = with("") + preface;
    assert_eq!(scan(later.as_bytes()).verdict, Verdict::Reject(MalformedRequestLine));
}

#[test]
fn each_violation_has_a_code_and_a_message() {
    assert_eq!(Violation::from_code(0), None);
    for violation in Violation::ALL {
        assert_eq!(Violation::from_code(violation.code()), Some(violation));
        assert!(violation.message().len() > 20);
    }
    assert_eq!(Violation::from_code(u8::MAX), None);
}

/// hyper takes none in a query, and clients send them as typed.
#[tokio::test]
async fn quotation_marks_in_a_query_reach_hyper_escaped() {
    for piece in [1, 7, 1024] {
        let (mut client, server) = super::connect();
        let request = b"GET /a?\"b\"=1 HTTP/1.1\r\nhost: a\r\n\r\nGET /c HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        for part in request.chunks(piece) {
            tokio::io::AsyncWriteExt::write_all(&mut client, part).await.unwrap();
        }
        assert_eq!(super::bodies(&mut client).await, ["GET /a 0", "GET /c 0"], "{piece}");
        server.await.unwrap();
    }
}
