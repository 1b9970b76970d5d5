//! Checks for a fuzz target, and for replaying its corpus in tests. They run in memory, without sockets or a
//! runtime.
//!
//! Compiled for this crate's tests and with the feature `fuzzing`.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::REJECTED_REQUEST;
use crate::scanner::{Scanner, Verdict};
use crate::state::Offer;
use crate::{Limits, Violation, guard};

/// What the guard makes of all input of a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many bytes of the input passed to the reader.
    pub passed: usize,
    /// Why no more passed.
    pub end: End,
}

/// End of the reads from a guarded connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The input has ended. An incomplete head is withheld.
    EndOfInput,
    /// A head was rejected.
    Rejected(Violation),
    /// A chunked body is invalid.
    InvalidBody,
}

/// The limits that the checks use: small, so that short inputs reach them.
pub fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        max_head_bytes: 1024,
        max_headers: 8,
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(75),
        write_timeout: Duration::from_secs(30),
    })
}

/// Body of the fuzz target: all checks on `input`, the bytes that a client sends on one connection.
///
/// # Panics
///
/// If the outcome depends on the sizes of packets or buffers, or if the guard and hyper disagree about a
/// message's end.
pub fn check(input: &[u8]) {
    check_pieces(input);
    // A quotation mark in a query is rewritten for hyper.
    if !may_close_early(input) && !input.contains(&b'"') {
        check_message_ends(input);
    }
}

/// Reads a guarded connection to its end. Its socket delivers `input` in pieces of `piece` bytes; the
/// reader's buffer has `buffer` bytes.
///
/// # Panics
///
/// If the reader gets anything but a prefix of `input`, then the replacement of a rejected request.
pub fn read(input: &[u8], piece: usize, buffer: usize) -> Outcome {
    let (mut socket, state) = guard(Pieces { rest: input, size: piece }, limits(), |_| ());
    let mut cx = Context::from_waker(Waker::noop());
    let (mut read, mut buffer) = (Vec::new(), vec![0; buffer]);
    let end = loop {
        let mut buf = ReadBuf::new(&mut buffer);
        match Pin::new(&mut socket).poll_read(&mut cx, &mut buf) {
            Poll::Ready(Ok(())) if buf.filled().is_empty() => break End::EndOfInput,
            Poll::Ready(Ok(())) => read.extend_from_slice(buf.filled()),
            Poll::Ready(Err(_)) => break End::InvalidBody,
            // `Pieces` is never pending, so that this is the end after a rejection.
            Poll::Pending => match state.violation() {
                Some(violation) if read.ends_with(REJECTED_REQUEST) => {
                    read.truncate(read.len() - REJECTED_REQUEST.len());
                    break End::Rejected(violation);
                }
                // Nobody else decides here.
                _ if state.offer() == Offer::Open => state.set_offer(Offer::Declined),
                _ => panic!("pending without a rejection: {}", input.escape_ascii()),
            },
        }
    };
    let unescaped = |text: &[u8]| text.escape_ascii().to_string().replace("\\\"", "%22");
    let as_sent = input.starts_with(&read) || unescaped(input).starts_with(&unescaped(&read));
    assert!(as_sent, "{} of {}", read.escape_ascii(), input.escape_ascii());
    Outcome { passed: read.len(), end }
}

/// A socket that delivers `rest` in pieces of `size` bytes.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

/// Nothing is written.
impl AsyncWrite for Pieces<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (piece, rest) = self.rest.split_at(self.size.min(buf.remaining()).min(self.rest.len()));
        buf.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// Packets and buffers of different sizes, among them hyper-util's 24 bytes for the HTTP/2 preface.
fn check_pieces(input: &[u8]) {
    let whole = read(input, usize::MAX, 8192);
    for (piece, buffer) in [(1, 8192), (1, 24), (2, 1024), (7, 8192), (24, 24), (1000, 1024), (1000, 7)] {
        let outcome = read(input, piece, buffer);
        assert_eq!(outcome, whole, "pieces {piece}, buffer {buffer}: {}", input.escape_ascii());
    }
}

/// hyper has to find each message exactly where the guard does, or never.
///
/// It may reject a message that the guard lets pass, for example one with more than 100 trailers. It must not
/// find the end of one earlier or later than the guard: that would be request smuggling.
fn check_message_ends(input: &[u8]) {
    for (index, end) in message_ends(input).0.iter().enumerate() {
        let shown = input.escape_ascii();
        assert_eq!(hyper_count(&input[..end - 1]), index, "message {index} ends before {end}: {shown}");
        if hyper_count(&input[..*end]) == index {
            assert_eq!(hyper_count(input), index, "message {index} ends behind {end}: {shown}");
            return;
        }
    }
}

/// Whether hyper may close the connection before the end of `input`, for a reason other than its framing.
fn may_close_early(input: &[u8]) -> bool {
    let input = input.to_ascii_lowercase();
    let contains = |word: &[u8]| input.windows(word.len()).any(|window| window == word);
    contains(b"http/1.0") || contains(b"close") || contains(b"upgrade")
}

/// The ends of the messages that the guard finds in `input`, and whether all of it passed.
pub(crate) fn message_ends(input: &[u8]) -> (Vec<usize>, bool) {
    let mut scanner = Scanner::new(limits());
    let (mut begin, mut ends) = (0, Vec::new());
    for end in 1..=input.len() {
        let scan = scanner.scan(&input[begin..end]);
        let passed = &input[begin..begin + scan.pass];
        begin += scan.pass;
        // Byte by byte, only an empty line passes without belonging to a message.
        if scan.pass > 0 && !scanner.in_body() && passed != b"\r\n" {
            ends.push(begin);
        }
        if scan.verdict == Verdict::Offer {
            scanner.declined();
        } else if scan.verdict != Verdict::NeedMore {
            return (ends, false);
        }
    }
    (ends, true)
}

/// How many complete requests hyper finds in `input` without a guard.
pub(crate) fn hyper_count(input: &[u8]) -> usize {
    let count = Cell::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        let count = &count;
        async move {
            if is_complete(request.into_body()).await {
                count.set(count.get() + 1);
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let socket = TokioIo::new(tokio::io::join(input, tokio::io::sink()));
    let mut connection = pin!(http1::Builder::new().half_close(true).serve_connection(socket, service));
    let mut cx = Context::from_waker(Waker::noop());
    // The socket is never pending, so that hyper is pending only to yield.
    while connection.as_mut().poll(&mut cx).is_pending() {}
    count.get()
}

/// Reads `body` to its end. False if it is incomplete or invalid.
async fn is_complete(mut body: Incoming) -> bool {
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if frame.is_err() {
            return false;
        }
    }
    true
}
