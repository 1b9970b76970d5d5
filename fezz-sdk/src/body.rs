//! [`Body`]: buffered bytes, or a stream of chunks.

mod source;

use std::fmt;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};

use source::{Converted, Mapped};
pub(crate) use source::{Source, WithTrailers};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Buffer size of [`Body::from_reader`].
const READ_BUFFER: usize = 64 * 1024;

/// The body of a response, or of a request to a router.
///
/// A streamed body is pulled with backpressure: for the next chunk when the client has taken the ones before. It is
/// dropped when the client disconnects. An error closes the connection, so that the client sees an incomplete body.
///
/// ```
/// use fezz_sdk::Body;
///
/// let buffered = Body::from("hello");
/// let streamed = Body::from_chunks((0..1_000_000).map(|number| format!("{number}\n")));
/// let file = Body::from_reader(std::io::repeat(b'x'));
/// ```
pub struct Body(Payload);

pub(crate) enum Payload {
    Buffered(Bytes),
    Streamed(Source),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Payload::Buffered(Bytes::new()))
    }

    /// The chunks of a stream, which must not block.
    pub fn from_stream<S, T, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        Self::streamed(Mapped::new(stream))
    }

    /// The chunks of an iterator, which may block.
    pub fn from_chunks<I>(chunks: I) -> Self
    where
        I: IntoIterator<Item: Into<Bytes> + 'static, IntoIter: Send + 'static>,
    {
        Self::from_fallible_chunks(chunks.into_iter().map(Ok::<_, BoxError>))
    }

    /// As [`from_chunks`](Self::from_chunks); an error ends the body as incomplete.
    pub fn from_fallible_chunks<I, T, E>(chunks: I) -> Self
    where
        I: IntoIterator<Item = Result<T, E>, IntoIter: Send + 'static>,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        let chunks = chunks.into_iter().map(|chunk| chunk.map(Into::into).map_err(Into::into));
        Self(Payload::Streamed(Source::Blocking(Box::new(chunks))))
    }

    /// The bytes of a reader, such as a file, which may block.
    pub fn from_reader(mut reader: impl Read + Send + 'static) -> Self {
        Self::from_fallible_chunks(std::iter::from_fn(move || {
            let mut chunk = vec![0; READ_BUFFER];
            loop {
                match reader.read(&mut chunk) {
                    Ok(0) => return None,
                    Ok(count) => {
                        chunk.truncate(count);
                        return Some(Ok(chunk));
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Some(Err(error)),
                }
            }
        }))
    }

    /// Any implementation of `http_body::Body`, with its trailers. A body that says its exact size is sent with
    /// `content-length`; a short one that is ready at once becomes a buffered body.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + 'static,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        match Converted::new(body) {
            Ok(buffered) => Self(Payload::Buffered(buffered)),
            Err(converted) => Self(Payload::Streamed(Source::Polled(converted))),
        }
    }

    /// A body that is not polled before it is read.
    pub(crate) fn streamed(
        body: impl http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    ) -> Self {
        Self(Payload::Streamed(Source::Polled(Box::pin(body))))
    }

    /// The bytes of a buffered body.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Payload::Buffered(bytes) => Some(bytes),
            Payload::Streamed(_) => None,
        }
    }

    /// The chunks, one by one. Blocks; for tests, and for threads that may block.
    pub fn into_chunks(self) -> impl Iterator<Item = Result<Bytes, BoxError>> + Send {
        let mut payload = self.0;
        std::iter::from_fn(move || match &mut payload {
            Payload::Buffered(bytes) => take(bytes),
            Payload::Streamed(source) => loop {
                match source.next_blocking()?.map(Frame::into_data) {
                    Ok(Ok(data)) => return Some(Ok(data)),
                    Ok(Err(_)) => {}
                    Err(error) => return Some(Err(error)),
                }
            },
        })
    }

    pub(crate) fn into_payload(self) -> Payload {
        self.0
    }
}

/// The bytes as one chunk, unless they are empty or taken already.
pub(crate) fn take<E>(bytes: &mut Bytes) -> Option<Result<Bytes, E>> {
    Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()).map(Ok)
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Payload::Buffered(bytes) => Poll::Ready(take(bytes).map(|chunk| chunk.map(Frame::data))),
            Payload::Streamed(source) => source.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Payload::Buffered(bytes) => bytes.is_empty(),
            Payload::Streamed(source) => source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Payload::Buffered(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Streamed(source) => source.size_hint(),
        }
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
            Payload::Buffered(bytes) => f.debug_tuple("Body").field(&bytes.len()).finish(),
            Payload::Streamed(source) => f.debug_struct("Body").field("blocks", &source.blocks()).finish(),
        }
    }
}

macro_rules! from {
    ($($whole:ty)*) => {$(
        impl From<$whole> for Body {
            fn from(body: $whole) -> Self {
                Self(Payload::Buffered(body.into()))
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
