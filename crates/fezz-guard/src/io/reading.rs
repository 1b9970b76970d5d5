//! What hyper reads: messages that were scanned, or what stands in the place of one that was rejected.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{DIRECT_MIN, Guarded, HELD_READ, Phase};
use crate::ConnectionState;
use crate::half_close::{Answering, HalfClose};
use crate::scanner::{Scan, Verdict};

impl<Io: AsyncRead + AsyncWrite + Unpin> Guarded<Io> {
    /// Reads into hyper's buffer, and moves an incomplete head from there to `held`.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        if fresh.is_empty() {
            self.input_ended();
            return Poll::Ready(Ok(()));
        }
        let scan = self.scanner.scan(fresh);
        self.held.extend_from_slice(&fresh[scan.pass..]);
        buf.set_filled(before + scan.pass);
        if matches!(scan.verdict, Verdict::Quoted(_)) {
            self.scan_held(Scan { pass: 0, ..scan });
        } else {
            self.apply(&scan);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into `held`, behind an incomplete head.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.reserve(HELD_READ);
        // `read_buf` has no state, so that each poll can make a new future.
        let count = ready!(pin!(self.io.read_buf(&mut self.held)).poll(cx))?;
        if count == 0 {
            self.input_ended();
            return Poll::Ready(Ok(()));
        }
        let scan = self.scanner.scan(&self.held);
        self.scan_held(scan);
        Poll::Ready(Ok(()))
    }

    /// Passes the input. Pings may keep an HTTP/2 connection alive; the idle timeout ends it without
    /// requests.
    fn poll_http2(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            ready!(self.poll_expired(cx, ConnectionState::was_busy));
            self.end();
            return Poll::Ready(Ok(()));
        }
        read
    }

    /// Reads and scans, or ends the connection after a timeout.
    fn poll_scanned(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let direct = self.held.is_empty() && buf.remaining() >= DIRECT_MIN;
        let read = if direct { self.poll_direct(cx, buf) } else { self.poll_held(cx) };
        if read.is_pending() {
            ready!(self.poll_expired(cx, ConnectionState::is_busy));
            self.expire();
            return Poll::Ready(Ok(()));
        }
        read
    }

    /// Ready when a timeout has expired. An idle connection is busy while a response still drains.
    fn poll_expired(&mut self, cx: &mut Context<'_>, is_busy: fn(&ConnectionState) -> bool) -> Poll<()> {
        loop {
            let state = &self.state;
            ready!(self.read_timeout.poll_expired(cx, || is_busy(state)));
            if self.held.len() > self.ready || !self.drains() {
                return Poll::Ready(());
            }
            self.read_timeout.drained();
        }
    }

    /// Ends with the last response, or when the client turns out to be gone.
    pub(super) fn poll_half_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.state.is_busy() && !self.unflushed {
            self.end();
            return Poll::Ready(());
        }
        let answering = if self.state.is_answered() || self.unflushed {
            Answering::Since(self.last_write)
        } else if self.scanner.http_11() {
            Answering::NotYet
        } else {
            Answering::Silently
        };
        let half_close = self.half_close.get_or_insert_with(HalfClose::new);
        ready!(half_close.poll_gone(&mut self.io, self.has_failed, answering, cx));
        self.phase = Phase::Gone;
        Poll::Ready(())
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<Io> {
    /// Pending while the socket is, which registers the waker; or for good after a rejection, when hyper only
    /// has to write the response.
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
                Phase::Http2 => return this.poll_http2(cx, buf),
                Phase::Offered => ready!(this.poll_offered(cx))?,
                Phase::Opaque => return this.poll_opaque(cx, buf),
                Phase::Rejected => return Poll::Pending,
                Phase::HalfClosed => ready!(this.poll_half_closed(cx)),
                Phase::Gone => {
                    let reason = "the client has closed the connection";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, reason)));
                }
                Phase::InvalidBody(error) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
                Phase::Ended => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
