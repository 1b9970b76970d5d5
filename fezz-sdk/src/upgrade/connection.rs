//! [`UpgradedConnection`]: both directions of an upgraded connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Signal;
use super::outbox::Outbox;
use crate::entry::RequestRef;
use crate::entry::upload::Upload;

/// A connection to a client that was upgraded. It is closed when it is dropped; `shutdown` closes the writing half alone.
#[derive(Debug)]
pub struct UpgradedConnection {
    incoming: Upload,
    /// What is left of the last piece.
    rest: Bytes,
    outbox: Arc<Outbox>,
    request: RequestRef,
    signal: Arc<Signal>,
}

impl UpgradedConnection {
    pub(super) fn new(request: RequestRef, outbox: Arc<Outbox>, signal: Arc<Signal>) -> Self {
        let incoming = Upload::of_upgrade(request.clone());
        Self { incoming, rest: Bytes::new(), outbox, request, signal }
    }

    /// Waits until the host is about to end, or to hand over to another process: say goodbye to the client, and drop the
    /// connection. After the host's grace period it is cut.
    ///
    /// The result does not borrow the connection.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        let signal = Arc::clone(&self.signal);
        async move { signal.wait().await }
    }

    /// What the client has sent; empty at the end.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Bytes>> {
        self.signal.follow(&self.request);
        while self.rest.is_empty() {
            match ready!(self.incoming.poll_next(cx)) {
                // There are no trailers here.
                Some(piece) => self.rest = piece.map_err(io::Error::other)?.into_data().unwrap_or_default(),
                None => break,
            }
        }
        Poll::Ready(Ok(&mut self.rest))
    }

    /// Copies up to `room` bytes to `put`.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        put: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        let rest = ready!(self.poll_rest(cx))?;
        let count = rest.len().min(room);
        put(&rest[..count]);
        rest.advance(count);
        if rest.is_empty() {
            // Gives the piece back to the host.
            *rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for UpgradedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_copy(cx, buf.remaining(), |bytes| buf.put_slice(bytes))
    }
}

impl AsyncWrite for UpgradedConnection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.poll_write(bytes, cx)
    }

    /// The host sends what is written at once.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for UpgradedConnection {
    fn drop(&mut self) {
        self.outbox.end();
    }
}

#[cfg(feature = "axum")]
mod hyper_io {
    use super::{AsyncWrite, Context, Pin, Poll, UpgradedConnection, io};

    impl hyper::rt::Read for UpgradedConnection {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            mut buf: hyper::rt::ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            let room = buf.remaining();
            self.poll_copy(cx, room, |bytes| buf.put_slice(bytes))
        }
    }

    impl hyper::rt::Write for UpgradedConnection {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            AsyncWrite::poll_write(self, cx, bytes)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            AsyncWrite::poll_flush(self, cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            AsyncWrite::poll_shutdown(self, cx)
        }
    }
}
