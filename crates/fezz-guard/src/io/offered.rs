//! A connection whose client asks for an upgrade, and one that was upgraded.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{Guarded, HELD_READ, Phase};
use crate::state::Offer;

impl<Io: AsyncRead + AsyncWrite + Unpin> Guarded<Io> {
    /// Waits for the decision on an upgrade. What the client sends meanwhile is held, as far as there is room.
    pub(super) fn poll_offered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state.poll_offer(cx) {
            Offer::Accepted => {
                self.ready = self.held.len();
                self.phase = if self.ended && self.held.is_empty() { Phase::Ended } else { Phase::Opaque };
                return Poll::Ready(Ok(()));
            }
            Offer::Declined => {
                self.decline();
                return Poll::Ready(Ok(()));
            }
            Offer::None | Offer::Open => {}
        }
        if self.ended {
            return self.poll_half_closed(cx).map(Ok);
        }
        if self.held.len() >= HELD_READ {
            return Poll::Pending;
        }
        self.held.reserve(HELD_READ);
        let count = ready!(pin!(self.io.read_buf(&mut self.held)).poll(cx))?;
        self.ended = count == 0;
        Poll::Ready(Ok(()))
    }

    /// Goes on as HTTP/1 with what the client has sent behind the head.
    fn decline(&mut self) {
        self.state.set_offer(Offer::None);
        self.scanner.declined();
        self.phase = Phase::Scan;
        let scan = self.scanner.scan(&self.held);
        self.scan_held(scan);
        if std::mem::take(&mut self.ended) {
            match self.phase {
                Phase::Scan => self.input_ended(),
                // The next head asks for one too.
                Phase::Offered => self.ended = true,
                _ => {}
            }
        }
    }

    /// Passes the input of an upgraded connection.
    pub(super) fn poll_opaque(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            self.phase = Phase::Ended;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }

    /// Whether what is written is HTTP no more, so that its timeouts do not apply.
    pub(super) fn is_upgraded(&self) -> bool {
        match self.phase {
            Phase::Opaque => true,
            Phase::Offered | Phase::Ended => self.state.offer() == Offer::Accepted,
            _ => false,
        }
    }
}
