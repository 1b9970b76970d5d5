//! Where the frames of a streamed body come from.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BoxError;

/// A body of a known size is buffered up to this length, in bytes, if it is ready: the host sends it in one piece, which
/// costs less than asking for its frames.
const BUFFERED: u64 = 64 << 10;

/// The frames of a streamed body.
pub(crate) enum Source {
    /// Polled, and must not block.
    Polled(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>),
    /// Pulled on a thread that may block.
    Blocking(Box<dyn Iterator<Item = Result<Bytes, BoxError>> + Send>),
}

impl Source {
    pub(crate) const fn blocks(&self) -> bool {
        matches!(self, Self::Blocking(_))
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Polled(body) => body.as_mut().poll_frame(cx),
            Self::Blocking(chunks) => Poll::Ready(chunks.next().map(|chunk| chunk.map(Frame::data))),
        }
    }

    /// The next frame; blocks until it is available.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        match self {
            Self::Polled(body) => {
                crate::runtime::block_on(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)))
            }
            Self::Blocking(chunks) => chunks.next().map(|chunk| chunk.map(Frame::data)),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        matches!(self, Self::Polled(body) if body.is_end_stream())
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Polled(body) => body.size_hint(),
            Self::Blocking(_) => SizeHint::default(),
        }
    }
}

pin_project! {
    /// A stream as the data of a body, with its items and errors converted.
    pub(super) struct Mapped<S> {
        #[pin]
        stream: S,
    }
}

impl<S> Mapped<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream }
    }
}

impl<S, T, E> Body for Mapped<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Bytes>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let chunk = ready!(self.project().stream.poll_next(cx));
        Poll::Ready(chunk.map(|chunk| chunk.map(|data| Frame::data(data.into())).map_err(Into::into)))
    }
}

pin_project! {
    /// A body with its data and errors converted.
    pub(super) struct Converted<B> {
        first: First,
        // What is left of the size that the body said at its beginning.
        left: Option<u64>,
        #[pin]
        body: B,
    }
}

/// What the poll has found that `Converted::new` makes.
enum First {
    Nothing,
    Frame(Result<Frame<Bytes>, BoxError>),
    End,
}

impl<B> Converted<B>
where
    B: Body<Data: Into<Bytes>, Error: Into<BoxError>>,
{
    /// The whole body, if it is short and ready.
    pub(super) fn new(body: B) -> Result<Bytes, Pin<Box<Self>>> {
        let left = body.size_hint().exact();
        let mut this = Box::pin(Self { first: First::Nothing, left, body });
        let Some(length) = left.filter(|length| *length <= BUFFERED) else { return Err(this) };
        // Whoever reads the body later leaves a waker of his own.
        let mut cx = Context::from_waker(Waker::noop());
        let mut parts = this.as_mut().project();
        let first = match parts.body.as_mut().poll_frame(&mut cx) {
            Poll::Pending => First::Nothing,
            Poll::Ready(None) if length == 0 => return Ok(Bytes::new()),
            Poll::Ready(None) => First::End,
            Poll::Ready(Some(frame)) => {
                First::Frame(frame.map(|frame| frame.map_data(Into::into)).map_err(Into::into))
            }
        };
        let is_length =
            |frame: &Frame<Bytes>| frame.data_ref().is_some_and(|data| data.len() as u64 == length);
        match first {
            First::Frame(Ok(frame)) if is_length(&frame) && parts.body.is_end_stream() => {
                Ok(frame.into_data().unwrap_or_default())
            }
            first => {
                *parts.first = first;
                Err(this)
            }
        }
    }
}

impl<B> Body for Converted<B>
where
    B: Body<Data: Into<Bytes>, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let parts = self.project();
        let frame = match std::mem::replace(parts.first, First::Nothing) {
            First::Frame(frame) => Some(frame),
            First::End => None,
            First::Nothing => ready!(parts.body.poll_frame(cx))
                .map(|frame| frame.map(|frame| frame.map_data(Into::into)).map_err(Into::into)),
        };
        if let (Some(left), Some(Ok(frame))) = (parts.left, &frame) {
            *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.first {
            First::Nothing => self.body.is_end_stream(),
            First::Frame(_) => false,
            First::End => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}

/// Buffered bytes with trailers behind them.
pub(crate) struct WithTrailers {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl WithTrailers {
    pub(crate) const fn new(data: Bytes, trailers: HeaderMap) -> Self {
        Self { data, trailers: Some(trailers) }
    }
}

impl Body for WithTrailers {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}
