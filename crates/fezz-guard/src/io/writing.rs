//! What hyper writes: it goes to the socket as it is, under the write timeout.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Guarded, Phase};

impl<Io> Guarded<Io> {
    /// Notes that hyper has written these bytes.
    fn wrote<'b>(&mut self, bufs: impl Iterator<Item = &'b [u8]>, count: usize) {
        self.state.wrote();
        self.unflushed = true;
        let mut left = count;
        let mut responds = self.phase != Phase::Http2;
        if self.phase == Phase::Http2 {
            for buf in bufs {
                let written = &buf[..buf.len().min(left)];
                left -= written.len();
                responds |= self.frames.follow(written);
            }
        }
        if responds {
            self.last_write = self.read_timeout.wrote();
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.io).poll_write(cx, buf);
        if this.is_upgraded() {
            return write;
        }
        let count = ready!(this.write_timeout.apply(write, cx, || (this.unsent)(&this.io)))?;
        this.wrote(std::iter::once(buf), count);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        if this.is_upgraded() {
            return write;
        }
        let count = ready!(this.write_timeout.apply(write, cx, || (this.unsent)(&this.io)))?;
        this.wrote(bufs.iter().map(|buf| &**buf), count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        // hyper flushes when it has written all that it had.
        this.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.must_linger() {
            return this.linger.poll_close(&mut this.io, cx);
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
