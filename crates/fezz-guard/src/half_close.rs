//! A client that has closed its half of the connection while its request is served.
//!
//! It may have shut down its sending half only, and wait for the answer, or it may have closed the socket and be gone: both
//! send the same FIN. The difference shows when something is sent, since a closed socket answers with RST. So a client
//! that waits for a while is sent `100 Continue`, which every client of HTTP/1.1 has to skip (RFC 9110 section 15.2).
//! Inside a response nothing can be put in between; there, a client is taken for gone after some silence.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep};

/// How long an answer may take before the client is asked, and how often it is asked then.
const ASK_AFTER: Duration = Duration::from_millis(100);
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long a response that has begun may be silent.
const SILENCE: Duration = Duration::from_secs(1);
/// The shortest and the longest interval of looking for the RST.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_secs(1);

const QUESTION: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answering {
    /// Nothing of the answer has been written.
    NotYet,
    /// Nothing of the answer has been written, and nothing else may be: the client speaks HTTP/1.0.
    Silently,
    /// A part of the answer has been written, last at this instant.
    Since(Instant),
}

/// Finds out whether the client is gone.
#[derive(Debug)]
pub(super) struct HalfClose {
    timer: Pin<Box<Sleep>>,
    look: Duration,
    asked: Option<Instant>,
    since: Instant,
}

impl HalfClose {
    /// The client has just closed its half.
    pub(super) fn new() -> Self {
        Self { timer: Box::pin(sleep(ASK_AFTER)), look: FIRST_LOOK, asked: None, since: Instant::now() }
    }

    /// Ready when the client is gone.
    pub(super) fn poll_gone<Io: AsyncWrite + Unpin>(
        &mut self,
        io: &mut Io,
        has_failed: fn(&Io) -> bool,
        answering: Answering,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            // The client's system has answered with RST.
            if has_failed(io) {
                return Poll::Ready(());
            }
            match answering {
                Answering::NotYet if self.asked.is_none_or(|asked| now - asked >= ASK_AGAIN) => {
                    self.asked = Some(now);
                    self.look = FIRST_LOOK;
                    // A socket that has nothing to send takes these few bytes at once.
                    match Pin::new(&mut *io).poll_write(cx, QUESTION) {
                        Poll::Ready(Ok(count)) if count == QUESTION.len() => {}
                        _ => return Poll::Ready(()),
                    }
                }
                Answering::NotYet | Answering::Silently => {}
                Answering::Since(last) if now - last.max(self.since) >= SILENCE => return Poll::Ready(()),
                Answering::Since(_) => {}
            }
            self.timer.as_mut().reset(now + self.look);
            self.look = (self.look * 2).min(LONGEST_LOOK);
        }
    }
}
