//! [`Body`]: bytes that are there, or that are made while they are sent.

use std::fmt;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http_body::Frame;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How much [`Body::from_reader`] reads at once.
const READ: usize = 64 * 1024;

/// The body of a response, or of a request that a router is given.
///
/// A body that is made while it is sent is asked for a piece when the client has taken the ones before, and dropped when
/// the client goes away. One that ends in an error cuts the connection, so that nobody takes what came for the whole.
///
/// ```
/// use fezz_sdk::Body;
///
/// let whole = Body::from("hello");
/// let made = Body::from_chunks((0..1_000_000).map(|number| format!("{number}\n")));
/// let file = Body::from_reader(std::io::repeat(b'x'));
/// ```
pub struct Body(Payload);

/// What a body is.
pub(crate) enum Payload {
    Whole(Bytes),
    Made(Source),
}

/// Where pieces come from.
pub(crate) enum Source {
    /// Asked without blocking.
    Polled(Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>),
    /// Asked on a thread that may block.
    Blocking(Box<dyn Iterator<Item = Result<Bytes, BoxError>> + Send>),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Payload::Whole(Bytes::new()))
    }

    /// Pieces of a stream, which must not block.
    pub fn from_stream<S, T, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        Self(Payload::Made(Source::Polled(Box::pin(Mapped { inner: Box::pin(stream) }))))
    }

    /// Pieces of an iterator, which may block.
    pub fn from_chunks<I>(chunks: I) -> Self
    where
        I: IntoIterator<Item: Into<Bytes> + 'static, IntoIter: Send + 'static>,
    {
        Self::from_fallible_chunks(chunks.into_iter().map(Ok::<_, BoxError>))
    }

    /// As [`from_chunks`](Self::from_chunks); an error breaks the body off.
    pub fn from_fallible_chunks<I, T, E>(chunks: I) -> Self
    where
        I: IntoIterator<Item = Result<T, E>, IntoIter: Send + 'static>,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        let chunks = chunks.into_iter().map(|chunk| chunk.map(Into::into).map_err(Into::into));
        Self(Payload::Made(Source::Blocking(Box::new(chunks))))
    }

    /// All that a reader has, such as a file. It may block.
    pub fn from_reader(mut reader: impl Read + Send + 'static) -> Self {
        Self::from_fallible_chunks(std::iter::from_fn(move || {
            let mut piece = vec![0; READ];
            loop {
                match reader.read(&mut piece) {
                    Ok(0) => return None,
                    Ok(count) => {
                        piece.truncate(count);
                        return Some(Ok(piece));
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Some(Err(error)),
                }
            }
        }))
    }

    /// A body of any crate that speaks `http-body`. Trailers are not sent.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + 'static,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self(Payload::Made(Source::Polled(Box::pin(Framed { body: Box::pin(body) }))))
    }

    /// The bytes, where they are all there.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Payload::Whole(bytes) => Some(bytes),
            Payload::Made(_) => None,
        }
    }

    /// A piece after the other, each waited for; for tests, and for threads that may block.
    pub fn into_chunks(self) -> impl Iterator<Item = Result<Bytes, BoxError>> + Send {
        let mut payload = self.0;
        std::iter::from_fn(move || match &mut payload {
            Payload::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()).map(Ok),
            Payload::Made(source) => source.wait_next(),
        })
    }

    pub(crate) fn into_payload(self) -> Payload {
        self.0
    }

    pub(crate) fn from_upload(upload: crate::BodyStream) -> Self {
        Self(Payload::Made(Source::Polled(Box::pin(Mapped { inner: Box::pin(upload) }))))
    }
}

impl Source {
    pub(crate) const fn blocks(&self) -> bool {
        matches!(self, Self::Blocking(_))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match self {
            Self::Polled(stream) => stream.as_mut().poll_next(cx),
            Self::Blocking(chunks) => Poll::Ready(chunks.next()),
        }
    }

    /// The next piece, of a source that blocks; any other is waited for.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Bytes, BoxError>> {
        self.wait_next()
    }

    fn wait_next(&mut self) -> Option<Result<Bytes, BoxError>> {
        match self {
            Self::Polled(stream) => {
                crate::runtime::block_on(std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)))
            }
            Self::Blocking(chunks) => chunks.next(),
        }
    }
}

/// A stream whose items become pieces.
struct Mapped<S> {
    inner: Pin<Box<S>>,
}

impl<S, T, E> Stream for Mapped<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Bytes>,
    E: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.inner.as_mut().poll_next(cx));
        Poll::Ready(piece.map(|piece| piece.map(Into::into).map_err(Into::into)))
    }
}

/// The data frames of a body.
struct Framed<B> {
    body: Pin<Box<B>>,
}

impl<B> Stream for Framed<B>
where
    B: http_body::Body<Data: Into<Bytes>, Error: Into<BoxError>>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.body.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data.into())));
                    }
                }
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = match &mut self.0 {
            Payload::Whole(bytes) => {
                Some(std::mem::take(bytes)).filter(|bytes| bytes.has_remaining()).map(Ok)
            }
            Payload::Made(source) => ready!(source.poll_next(cx)),
        };
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.as_bytes().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.as_bytes().map_or_else(http_body::SizeHint::default, |bytes| {
            http_body::SizeHint::with_exact(bytes.len() as u64)
        })
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Payload::Whole(bytes) => f.debug_tuple("Body").field(&bytes.len()).finish(),
            Payload::Made(source) => f.debug_struct("Body").field("blocks", &source.blocks()).finish(),
        }
    }
}

macro_rules! from {
    ($($whole:ty)*) => {$(
        impl From<$whole> for Body {
            fn from(body: $whole) -> Self {
                Self(Payload::Whole(body.into()))
            }
        }
    )*};
}

from! { Bytes Vec<u8> String &'static str &'static [u8] }

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

#[cfg(feature = "axum")]
impl From<axum_core::body::Body> for Body {
    fn from(body: axum_core::body::Body) -> Self {
        Self::new(body)
    }
}
