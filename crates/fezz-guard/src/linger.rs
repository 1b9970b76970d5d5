//! Closes a connection whose client may still be sending, so that it can read the answer.
//!
//! A socket that is closed with unread input makes the kernel send RST, and a client that gets RST throws away what
//! it had received and not yet read: the very answer that says what was wrong. So first only our half is shut down,
//! which tells the client that the answer is complete; then what it still sends is read and dropped, until it closes
//! its half too. RFC 9112 9.6 describes this, and nginx calls it a lingering close. It is bounded in time and in
//! bytes, because the client is one that has just misbehaved.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long the client has to read the answer and to close.
const TIME: Duration = Duration::from_secs(1);
/// More than Linux buffers for a socket by default (6 MiB at the receiver), so that a client that is blocked in
/// sending gets through to reading.
const BYTES: usize = 8 * 1024 * 1024;

/// A connection that is being closed.
#[derive(Debug, Default)]
pub(super) enum Linger {
    /// Our half still has to be shut down.
    #[default]
    Shutdown,
    /// What comes is dropped, up to so many bytes.
    Drain {
        sleep: Pin<Box<Sleep>>,
        left: usize,
    },
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
                    *self = Self::Drain { sleep: Box::pin(sleep(TIME)), left: BYTES };
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

/// Ready at the end of the input, at an error, or when `left` is used up.
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
