//! Lingering close (RFC 9112 section 9.6): lets a client that is still sending read the last response.
//!
//! When a socket is closed with unread input, the kernel sends RST, and the client's kernel discards received
//! data that the client has not read: the response. So the guard first shuts down the sending half, which
//! tells the client that the response is complete. Then it reads and discards input until the client closes
//! its half. This is bounded in time and bytes, because the client has just misbehaved.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Longest time to wait for the client to close.
pub(super) const MAX_TIME: Duration = Duration::from_secs(1);
/// Most bytes to discard: more than the 6 MiB that Linux buffers for a receiving socket by default, so that a
/// client that is blocked in a write gets to read.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// State of the close.
#[derive(Debug, Default)]
pub(super) enum Linger {
    /// The sending half is to be shut down. Goes to `Drain`.
    #[default]
    Shutdown,
    /// Input is discarded, up to `left` bytes or until `sleep` fires. Goes to `Done`.
    Drain { sleep: Pin<Box<Sleep>>, left: usize },
    /// The socket may be dropped. Final.
    Done,
}

impl Linger {
    /// Ready when the socket may be dropped.
    pub(super) fn poll_close<Io>(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match self {
                Self::Shutdown => {
                    ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
                    *self = Self::Drain { sleep: Box::pin(sleep(MAX_TIME)), left: MAX_BYTES };
                }
                Self::Drain { sleep, left } => {
                    if poll_drained(io, left, cx).is_pending() {
                        ready!(sleep.as_mut().poll(cx));
                    }
                    *self = Self::Done;
                }
                Self::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Ready at the end of the input, on an error, or when `left` bytes have been discarded.
fn poll_drained<Io: AsyncRead + Unpin>(io: &mut Io, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
    let mut scratch = [MaybeUninit::uninit(); 16 * 1024];
    loop {
        let mut buf = ReadBuf::uninit(&mut scratch);
        let outcome = ready!(Pin::new(&mut *io).poll_read(cx, &mut buf));
        let count = buf.filled().len();
        if outcome.is_err() || count == 0 || count >= *left {
            return Poll::Ready(());
        }
        *left -= count;
    }
}
