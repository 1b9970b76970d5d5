//! The socket that hyper sees. It reads ahead of hyper by exactly one incomplete head.
//!
//! When all that a read brings may pass, as it nearly always does, it lands in hyper's own buffer, is looked at there
//! and stays there. Only the beginning of a head that is not complete moves into `held`, and comes back with the rest.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::chunked::Broken;
use super::clock::Clock;
use super::linger::Linger;
use super::scanner::{Scan, Scanner, Then};
use super::stall::Stall;
use super::{ConnectionState, Limits, Violation};

/// What hyper reads in place of a request that was refused. `connection: close` makes it close after the answer.
pub(super) const REJECTED_REQUEST: &[u8] =
    b"GUARD-REJECTED / HTTP/1.1\r\nhost: rejected\r\nconnection: close\r\n\r\n";

/// Below this, a read goes into our own buffer: hyper-util asks for 24 bytes at first, to recognize HTTP/2.
const DIRECT_MIN: usize = 1024;
/// An answer of so few bytes is copied together: sending one piece costs the kernel less than sending a list of them.
const SMALL: usize = 1024;
/// How much to read at once into our own buffer.
const HELD_READ: usize = 4 * 1024;

/// What becomes of further reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// They are scanned. Goes to any other phase.
    Scan,
    /// They go straight to the socket, for HTTP/2. Final.
    Through,
    /// A head was refused; hyper gets the request that stands in for it and then nothing. Final.
    Rejected,
    /// A chunked body is broken; hyper gets an error, which fails the body. Final.
    Broken(Broken),
    /// The client has closed its half, or its time is up. Final.
    Ended,
}

/// A socket whose requests are judged before they are read.
#[derive(Debug)]
pub struct Guarded<Io> {
    io: Io,
    phase: Phase,
    scanner: Scanner,
    clock: Clock,
    /// Bytes that may pass, then the incomplete head.
    held: BytesMut,
    /// How many of them may pass.
    ready: usize,
    state: Arc<ConnectionState>,
    linger: Linger,
    stall: Stall,
    /// Makes closing the socket a failure for the client.
    reset: fn(&Io),
}

impl<Io> Guarded<Io> {
    pub(super) fn new(io: Io, limits: Arc<Limits>, state: Arc<ConnectionState>, reset: fn(&Io)) -> Self {
        Self {
            io,
            phase: Phase::Scan,
            clock: Clock::start(limits.header_timeout, limits.idle_timeout),
            stall: Stall::new(limits.write_timeout),
            reset,
            scanner: Scanner::new(limits),
            held: BytesMut::new(),
            ready: 0,
            state,
            linger: Linger::default(),
        }
    }

    /// Moves what may pass from `held` to hyper.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ready.min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.advance(count);
        self.ready -= count;
        if self.held.is_empty() {
            // Most connections never need it again.
            self.held = BytesMut::new();
        }
    }

    /// Draws the consequences of a scan. `held` already has the incomplete head behind the bytes that may pass.
    fn conclude(&mut self, scan: &Scan) {
        match scan.then {
            Then::Wait => self.set_clock(scan.pass > 0),
            Then::Through => {
                // The preface was the head, and passes with all that came with it.
                self.ready = self.held.len();
                self.phase = Phase::Through;
                self.clock.wait_for_call();
            }
            Then::Reject(violation) => self.reject(violation),
            Then::Break(broken) => {
                self.held.truncate(self.ready);
                self.phase = Phase::Broken(broken);
            }
        }
    }

    fn set_clock(&mut self, progressed: bool) {
        if self.scanner.in_body() {
            self.clock.stop();
        } else if self.scanner.is_fresh() {
            // The clock has run since the accept.
        } else if self.held.len() > self.ready {
            self.clock.wait_for_head(progressed);
        } else {
            self.clock.wait_for_next();
        }
    }

    fn reject(&mut self, violation: Violation) {
        self.state.reject(violation);
        self.held.truncate(self.ready);
        self.held.extend_from_slice(REJECTED_REQUEST);
        self.ready = self.held.len();
        self.phase = Phase::Rejected;
    }

    /// Part of a head deserves an answer that says so; silence is just a connection that is no longer used.
    fn expire(&mut self) {
        if self.held.len() > self.ready {
            self.reject(Violation::HeadTimeout);
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        self.held.truncate(self.ready);
        self.phase = Phase::Ended;
    }

    /// Whether the client may still be sending what no one will read. Not after a timeout: then all that came was
    /// read, and a client that only holds its connection open must not hold it longer.
    fn must_linger(&self) -> bool {
        match self.phase {
            Phase::Rejected => self.state.violation() != Some(Violation::HeadTimeout),
            Phase::Broken(_) => true,
            // An answer that did not wait for the body's end, as 413 does.
            Phase::Scan => self.scanner.in_body(),
            Phase::Through | Phase::Ended => false,
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

impl<Io: AsyncRead + Unpin> Guarded<Io> {
    /// Reads into hyper's buffer, and moves what may not pass yet out of it.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        if fresh.is_empty() {
            self.end();
            return Poll::Ready(Ok(()));
        }
        let scan = self.scanner.scan(fresh);
        self.held.extend_from_slice(&fresh[scan.pass..]);
        buf.set_filled(before + scan.pass);
        self.conclude(&scan);
        Poll::Ready(Ok(()))
    }

    /// Reads behind the incomplete head.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.reserve(HELD_READ);
        // This future holds nothing of its own, so that it can be made anew for each poll.
        let count = ready!(pin!(self.io.read_buf(&mut self.held)).poll(cx))?;
        if count == 0 {
            self.end();
            return Poll::Ready(Ok(()));
        }
        let scan = self.scanner.scan(&self.held);
        self.ready = scan.pass;
        self.conclude(&scan);
        Poll::Ready(Ok(()))
    }

    /// HTTP/2 has its own frames to keep a connection alive; without calls it ends all the same.
    fn poll_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            let state = &self.state;
            ready!(self.clock.poll_expired(cx, || state.was_busy()));
            self.end();
            return Poll::Ready(Ok(()));
        }
        read
    }

    fn poll_scanned(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let direct = self.held.is_empty() && buf.remaining() >= DIRECT_MIN;
        let read = if direct { self.poll_direct(cx, buf) } else { self.poll_held(cx) };
        if read.is_pending() {
            let state = &self.state;
            ready!(self.clock.poll_expired(cx, || state.is_busy()));
            self.expire();
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Guarded<Io> {
    /// Pending only when the socket is, and so will wake hyper; or for good, after a rejection, when hyper's own
    /// answer is what comes next.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        while buf.filled().len() == before && buf.remaining() > 0 {
            if this.ready > 0 {
                this.hand_out(buf);
                break;
            }
            match this.phase {
                Phase::Scan => ready!(this.poll_scanned(cx, buf))?,
                Phase::Through => return this.poll_through(cx, buf),
                Phase::Rejected => return Poll::Pending,
                Phase::Broken(broken) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, broken)));
                }
                Phase::Ended => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// All of `bufs` in one piece, where there is room for them.
fn gather<'a>(bufs: &[IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = bufs.iter().map(|buf| buf.len()).sum();
    let (whole, _) = room.split_at_mut_checked(length)?;
    let mut rest = &mut *whole;
    for buf in bufs {
        let (here, behind) = rest.split_at_mut(buf.len());
        here.copy_from_slice(buf);
        rest = behind;
    }
    Some(whole)
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.io).poll_write(cx, buf);
        let count = ready!(this.stall.time(write, cx))?;
        this.clock.wrote();
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut whole = [0; SMALL];
        let write = match gather(bufs, &mut whole) {
            Some(small) => Pin::new(&mut this.io).poll_write(cx, small),
            None => Pin::new(&mut this.io).poll_write_vectored(cx, bufs),
        };
        let count = ready!(this.stall.time(write, cx))?;
        this.clock.wrote();
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.must_linger() {
            return this.linger.poll_close(&mut this.io, cx);
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
