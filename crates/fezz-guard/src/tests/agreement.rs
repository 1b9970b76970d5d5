//! Agreement of the guard and hyper about message framing.
//!
//! For each message that the guard lets pass, hyper without a guard reads the input up to the end that the
//! guard found, and up to one byte less: only the first contains the message.

use crate::fuzz::{hyper_count, message_ends};

/// Checks `input` and returns how many messages it contains, and whether all of it passed.
#[track_caller]
fn check(input: &[u8]) -> (usize, bool) {
    let (ends, all) = message_ends(input);
    for (index, end) in ends.iter().enumerate() {
        let shown = input.escape_ascii();
        assert_eq!(hyper_count(&input[..*end]), index + 1, "message {index} ends at {end}: {shown}");
        assert_eq!(hyper_count(&input[..end - 1]), index, "message {index} ends before {end}: {shown}");
    }
    (ends.len(), all)
}

const NEXT: &str = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

/// Unusual headers behind `POST / HTTP/1.1\r\nhost: a\r\n`, with their bodies. The guard accepts some of
/// them.
const UNUSUAL: &[&str] = &[
    "\r\n",
    "content-length: 0\r\n\r\n",
    "content-length: 3\r\n\r\nabc",
    "content-length: 03\r\n\r\nabc",
    "content-length:3\r\n\r\nabc",
    "content-length: \t 3 \t\r\n\r\nabc",
    "content-length: 2\r\n\r\n\r\n",
    "CONTENT-LENGTH: 5\r\n\r\nGET /",
    "content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "content-length: 3, 3\r\n\r\nabc",
    "content-length: +3\r\n\r\nabc",
    "content-length: 3 3\r\n\r\nabc",
    "content-length:\r\n\r\n",
    "content-length : 3\r\n\r\nabc",
    "content_length: 3\r\n\r\n",
    "content-length\r\n\r\n",
    "x: y\r\n z\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: Chunked\t\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    "transfer-encoding: chunked\r\n\r\n03\r\nabc\r\n00\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0;c\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3 ;a\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3;\"\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\nA\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0\r\na: b\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0\r\na: b\n\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0\r\na: b\r\nc:\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0\r\n b\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0\r\n\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 9\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n00000000000000003\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: identity\r\n\r\n",
    "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding:\r\n\r\n",
    "transfer-encoding\r\n: chunked\r\n\r\n0\r\n\r\n",
    "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "te: chunked\r\n\r\n",
    "x: \u{e9}\r\n\r\n",
    "expect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
    "upgrade: websocket\r\ncontent-length: 3\r\n\r\nabc",
    "expect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "\n",
    "x: y\n\r\n",
    "x: y\r\n\n",
    "connection: keep-alive\r\ncontent-length: 1\r\n\r\n\n",
    "x:\0\r\n\r\n",
    "x:\r\r\n\r\n",
    "\u{b}x: y\r\n\r\n",
    "host: a\r\n\r\n",
    "x: y\r\n\r\n\r\n",
    "x: y\r\n\r\n\r\n\r\n",
    "x: y\r\n\r\n\n",
    "trailer: a\r\ncontent-length: 1\r\n\r\na",
];

#[test]
fn both_find_the_same_messages() {
    let mut accepted = 0;
    for unusual in UNUSUAL {
        let input = format!("POST / HTTP/1.1\r\nhost: a\r\n{unusual}{NEXT}");
        let (messages, all) = check(input.as_bytes());
        // If all passed, it was the unusual message and the one behind it.
        assert!(!all || messages == 2, "{messages} messages in {input:?}");
        accepted += usize::from(all);
    }
    assert!(UNUSUAL.len() >= 60 && accepted >= 20, "{accepted} of {}", UNUSUAL.len());
}

/// Pseudorandom numbers, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Changes, removes or inserts one byte that matters for framing.
fn mutate(input: &mut Vec<u8>, numbers: &mut Numbers) {
    const BYTES: &[u8] = b"\r\n\r\n \t:;,03aA\0x/?\x80";
    let (at, byte) = (numbers.below(input.len()), BYTES[numbers.below(BYTES.len())]);
    match numbers.below(3) {
        0 => input[at] = byte,
        1 => drop(input.remove(at)),
        _ => input.insert(at, byte),
    }
}

#[test]
fn both_find_the_same_messages_in_damaged_input() {
    let mut numbers = Numbers(1);
    let mut messages = 0;
    for _ in 0..10_000 {
        let unusual = UNUSUAL[numbers.below(UNUSUAL.len())];
        let mut input = format!("POST / HTTP/1.1\r\nhost: a\r\n{unusual}{NEXT}").into_bytes();
        for _ in 0..=numbers.below(3) {
            mutate(&mut input, &mut numbers);
        }
        // hyper closes the connection after an HTTP/1.0 request.
        if !input.windows(8).any(|word| word == b"HTTP/1.0") {
            messages += check(&input).0;
        }
    }
    assert!(messages > 2000, "{messages}");
}

/// hyper must accept what the guard lets pass, or it would respond by itself, without a body.
#[test]
fn hyper_accepts_every_byte_that_the_guard_accepts() {
    let mut accepted = 0;
    for (front, back) in [
        ("GE", "T / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET /a", "b HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET /a?b", "c HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET http://a", "b/c?d HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET http://a/", "c HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET ", "/ HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a", "b\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r\na", "b: c\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r\na: b", "\r\n\r\n"),
    ] {
        for byte in u8::MIN..=u8::MAX {
            accepted += check(&[front.as_bytes(), &[byte], back.as_bytes()].concat()).0;
        }
    }
    assert!(accepted > 800, "{accepted}");
}
