//! The guarded socket: an I/O adapter between a connection's socket and hyper.
//!
//! It withholds at most one incomplete head. Usually a read returns whole messages: they are read into
//! hyper's buffer, scanned there and not copied. Only the start of an incomplete head moves to `held`, until
//! the rest has arrived.

mod offered;
mod quotes;
mod reading;
mod writing;

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::chunked::ChunkError;
use super::half_close::HalfClose;
use super::http2_frames::Frames;
use super::linger::Linger;
use super::read_timeout::ReadTimeout;
use super::scanner::{Scan, Scanner, Verdict};
use super::state::Offer;
use super::write_timeout::WriteTimeout;
use super::{ConnectionState, Limits, Violation};
use quotes::escape_quotes;

/// What hyper reads in place of a rejected request. `connection: close` makes it close after the response.
pub(super) const REJECTED_REQUEST: &[u8] =
    b"GUARD-REJECTED / HTTP/1.1\r\nhost: rejected\r\nconnection: close\r\n\r\n";

/// Smallest buffer to read into directly. hyper-util's first read is of 24 bytes, to recognize the HTTP/2
/// preface.
const DIRECT_MIN: usize = 1024;
/// Read size for `held`.
const HELD_READ: usize = 4 * 1024;

/// State of the read side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// HTTP/1: input is scanned. Goes to any other phase.
    Scan,
    /// HTTP/2: input passes unchanged. Goes to `Ended`.
    Http2,
    /// HTTP/1: the last head asks for an upgrade, and what follows is held until it is decided. Goes to `Scan`, `Opaque`
    /// or `Gone`.
    Offered,
    /// Upgraded: input passes unchanged, and no timeout applies. Goes to `Ended`.
    Opaque,
    /// A head was rejected: hyper reads the replacement request, then nothing. Final.
    Rejected,
    /// A chunked body is invalid: hyper reads an error, which fails the body. Final.
    InvalidBody(ChunkError),
    /// HTTP/1: the client has closed its half while its request is served. Goes to `Ended`.
    HalfClosed,
    /// The client is gone: hyper reads an error. Final.
    Gone,
    /// There is no more input, or a timeout has expired: hyper reads the end of the input. Final.
    Ended,
}

/// A socket that validates the framing of HTTP/1 requests before hyper reads them. Made by
/// [`guard`](crate::guard).
///
/// Reads yield valid messages only; a rejected one is replaced, see the [crate's documentation](crate).
/// Writes and flushes go to the inner socket. Shutdown lingers where the client may still be sending (RFC
/// 9112 section 9.6).
///
/// Errors besides those of the inner socket: a read fails with [`InvalidData`](std::io::ErrorKind::InvalidData)
/// inside an invalid chunked body, a write with [`TimedOut`](std::io::ErrorKind::TimedOut) after
/// [`Limits::write_timeout`](crate::Limits::write_timeout).
#[derive(Debug)]
pub struct Guarded<Io> {
    io: Io,
    phase: Phase,
    scanner: Scanner,
    read_timeout: ReadTimeout,
    /// Bytes that may pass, then an incomplete head.
    held: BytesMut,
    /// How many bytes of `held` may pass.
    ready: usize,
    state: Arc<ConnectionState>,
    linger: Linger,
    write_timeout: WriteTimeout,
    /// Makes the close of the socket abortive.
    reset: fn(&Io),
    /// How many bytes of what was written the client has not acknowledged.
    unsent: fn(&Io) -> Option<usize>,
    /// Whether the connection has failed, though reading only finds the end of the input.
    has_failed: fn(&Io) -> bool,
    /// The former, when the connection was last found idle.
    left_unsent: usize,
    half_close: Option<HalfClose>,
    /// Whether the input has ended behind a head that asks for an upgrade.
    ended: bool,
    /// Whether hyper has written something and not flushed it since, so that it may have more to write.
    unflushed: bool,
    last_write: Instant,
    frames: Frames,
}

impl<Io> Guarded<Io> {
    pub(super) fn new(io: Io, limits: Arc<Limits>, state: Arc<ConnectionState>, reset: fn(&Io)) -> Self {
        Self {
            io,
            phase: Phase::Scan,
            read_timeout: ReadTimeout::start(limits.header_timeout, limits.idle_timeout),
            write_timeout: WriteTimeout::new(limits.write_timeout),
            reset,
            scanner: Scanner::new(limits),
            held: BytesMut::new(),
            ready: 0,
            state,
            linger: Linger::default(),
            unsent: |_| None,
            has_failed: |_| false,
            left_unsent: usize::MAX,
            half_close: None,
            ended: false,
            unflushed: false,
            last_write: Instant::now(),
            frames: Frames::default(),
        }
    }

    /// Tells the guard more of the transport, if that can be known.
    ///
    /// - `unsent`: how many of the written bytes the client has not acknowledged yet; for TCP on Linux that is
    ///   `SIOCOUTQ`. A client that acknowledges some of them within the write timeout is slow, but not gone. Without this,
    ///   only a socket that takes further bytes shows that: with a large send buffer that can take much longer.
    /// - `has_failed`: whether the connection has an error (`SO_ERROR`). Behind the end of the input, reading does not show
    ///   it. Without this, a client that has left is noticed when something is written twice.
    #[must_use]
    pub fn observed_by(mut self, unsent: fn(&Io) -> Option<usize>, has_failed: fn(&Io) -> bool) -> Self {
        self.unsent = unsent;
        self.has_failed = has_failed;
        self
    }

    /// Whether a response is on its way to a client that takes it, though slowly.
    fn drains(&mut self) -> bool {
        let unsent = (self.unsent)(&self.io).unwrap_or(0);
        let before = std::mem::replace(&mut self.left_unsent, unsent);
        self.write_timeout.is_pending() || (unsent > 0 && unsent < before)
    }

    /// Moves bytes that may pass from `held` to hyper's buffer.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ready.min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.advance(count);
        self.ready -= count;
        if self.held.is_empty() {
            // Frees the memory: most connections never need it again.
            self.held = BytesMut::new();
        }
    }

    /// Applies the verdict of a scan. `held` already holds the incomplete head, behind the bytes that may
    /// pass.
    fn apply(&mut self, scan: &Scan) {
        match scan.verdict {
            Verdict::NeedMore => self.set_timeout(scan.pass > 0),
            // Handled where it is found.
            Verdict::Quoted(_) => {}
            Verdict::Http2 => {
                // The preface and all input behind it.
                self.ready = self.held.len();
                self.phase = Phase::Http2;
                self.read_timeout.wait_for_http2_request();
            }
            Verdict::Offer => {
                self.state.set_offer(Offer::Open);
                self.phase = Phase::Offered;
            }
            Verdict::Reject(violation) => self.reject(violation),
            Verdict::InvalidBody(error) => {
                self.held.truncate(self.ready);
                self.phase = Phase::InvalidBody(error);
            }
        }
    }

    /// Selects the timeout for the next read. `progressed`: a message has ended, so that the held head is a
    /// new one.
    fn set_timeout(&mut self, progressed: bool) {
        if self.scanner.in_body() {
            self.read_timeout.stop();
        } else if self.scanner.is_fresh() {
            // The timeout of the first head has run since the accept.
        } else if self.held.len() > self.ready {
            self.read_timeout.wait_for_head(progressed);
        } else {
            self.read_timeout.wait_for_next_head();
        }
    }

    fn reject(&mut self, violation: Violation) {
        self.state.reject(violation);
        self.held.truncate(self.ready);
        self.held.extend_from_slice(REJECTED_REQUEST);
        self.ready = self.held.len();
        self.phase = Phase::Rejected;
    }

    /// An incomplete head is rejected with a response; an idle connection just ends.
    fn expire(&mut self) {
        if self.held.len() > self.ready {
            self.reject(Violation::HeadTimeout);
        } else {
            self.end();
        }
    }

    /// Scans what is held and not ready. A target with quotation marks is rewritten, so that hyper takes it.
    fn scan_held(&mut self, mut scan: Scan) {
        loop {
            self.ready += scan.pass;
            let Verdict::Quoted(length) = scan.verdict else { return self.apply(&scan) };
            let rest = self.held.split_off(self.ready + length);
            let head = self.held.split_off(self.ready);
            escape_quotes(&head, &mut self.held);
            self.ready = self.held.len();
            self.held.unsplit(rest);
            scan = self.scanner.scan(&self.held[self.ready..]);
        }
    }

    /// The end of the input. A request that is complete is still answered.
    fn input_ended(&mut self) {
        if !self.scanner.in_body() && (self.state.is_busy() || self.unflushed) {
            self.held.truncate(self.ready);
            self.half_close = Some(HalfClose::new());
            self.phase = Phase::HalfClosed;
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        self.held.truncate(self.ready);
        self.phase = Phase::Ended;
    }

    /// Whether the client may be sending data that will not be read. Not after a timeout: then all input was
    /// read, and a client that only keeps the connection open must not keep it longer.
    fn must_linger(&self) -> bool {
        match self.phase {
            Phase::Rejected => self.state.violation() != Some(Violation::HeadTimeout),
            Phase::InvalidBody(_) => true,
            // A response that was sent before the body was complete, such as 413.
            Phase::Scan => self.scanner.in_body(),
            // What was sent in the hope of an upgrade.
            Phase::Offered => !self.held.is_empty(),
            Phase::Opaque | Phase::Http2 | Phase::HalfClosed | Phase::Gone | Phase::Ended => false,
        }
    }
}

impl<Io> Drop for Guarded<Io> {
    fn drop(&mut self) {
        if self.state.is_broken_off() {
            (self.reset)(&self.io);
        }
    }
}
