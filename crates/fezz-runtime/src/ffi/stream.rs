//! A streamed response body, pulled from the function at the client's pace.

use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fezz_abi::bridge::lend;
use fezz_abi::{
    FezzChunk, FezzSlice, FezzStream, FezzWaker, STREAM_BLOCKING, STREAM_END, STREAM_ERROR, STREAM_PENDING,
    STREAM_READY,
};
use http_body::Frame;

use super::raw_reply::{Keep, RawReply};
use super::trailers::{TrailerError, trailers};

/// Why a streamed body broke off, after status and headers were sent.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The function broke it off; the reason.
    #[error("the function broke the body off: {0}")]
    Function(String),
    /// `next_chunk` is null.
    #[error("the function's stream has no `next_chunk`")]
    NoFunction,
    /// The contract has no such result of `next_chunk`.
    #[error("the function's stream gave answer {0}, which this host does not know")]
    Answer(u32),
    /// It returned `STREAM_PENDING` from a blocking call.
    #[error("the function's stream said that it has nothing yet, though it was asked to block")]
    PendingWhileBlocking,
    /// A trailer that cannot be sent.
    #[error("in the function's stream, {0}")]
    Trailer(#[from] TrailerError),
    /// Malformed trailers.
    #[error("the function's stream ended with a null or misaligned array of {0} trailers")]
    Trailers(usize),
    /// A body of another length than declared.
    #[error(
        "the function declared a body of {declared} bytes with content-length, and its stream has {found}"
    )]
    Length {
        /// By its `content-length`.
        declared: u64,
        /// How its stream differs: `fewer`, `more`.
        found: &'static str,
    },
    /// A null chunk with a length.
    #[error("a chunk of the function's stream is a null pointer with a length of {0} bytes")]
    Chunk(usize),
    /// A defect of the host: the task that pulls has gone.
    #[error("a pull was lost inside the host; this is a defect of the host")]
    Lost,
}

/// The next piece of a body. `None` is the end, and so are trailers.
pub type Piece = Option<Result<Frame<Bytes>, StreamError>>;

/// A streamed response body. Dropping it releases it, also before its end. The function stays loaded until then.
#[derive(Debug)]
pub struct ReplyStream {
    /// Owns what `FezzStream` points to.
    raw: RawReply,
    keep: Keep,
}

impl ReplyStream {
    /// `raw` must have a stream.
    pub(super) const fn new(raw: RawReply, keep: Keep) -> Self {
        Self { raw, keep }
    }

    /// Whether it must be pulled on a thread that may block.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.raw.stream().is_some_and(|stream| stream.flags & STREAM_BLOCKING != 0)
    }

    /// The next piece, without blocking. Must not be called after an end or an error.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        let waker = lend(cx.waker());
        self.pull(&raw const waker)
    }

    /// The next piece, on a thread that may block. Must not be called after an end or an error.
    pub fn next_blocking(&mut self) -> Piece {
        match self.pull(ptr::null()) {
            Poll::Ready(piece) => piece,
            Poll::Pending => Some(Err(StreamError::PendingWhileBlocking)),
        }
    }

    fn pull(&mut self, waker: *const FezzWaker) -> Poll<Piece> {
        let Some(&FezzStream { ctx, next_chunk: Some(next_chunk), .. }) = self.raw.stream() else {
            return Poll::Ready(Some(Err(StreamError::NoFunction)));
        };
        let mut chunk = RawChunk(FezzChunk::EMPTY);
        // SAFETY: the stream lives until the release of `raw`, `&mut` makes this the only caller; waker and chunk live
        // until it returns.
        let answer = unsafe { next_chunk(ctx, waker, &raw mut chunk.0) };
        if chunk.0.data.is_malformed() {
            return Poll::Ready(Some(Err(StreamError::Chunk(chunk.0.data.len))));
        }
        Poll::Ready(match answer {
            STREAM_READY => Some(Ok(Frame::data(self.bytes(chunk)))),
            STREAM_PENDING => return Poll::Pending,
            STREAM_END => chunk.trailers().transpose(),
            STREAM_ERROR => {
                Some(Err(StreamError::Function(String::from_utf8_lossy(chunk.as_ref()).into_owned())))
            }
            other => Some(Err(StreamError::Answer(other))),
        })
    }

    fn bytes(&self, chunk: RawChunk) -> Bytes {
        if chunk.0.data.len == 0 {
            return Bytes::new();
        }
        Bytes::from_owner(OwnedChunk { chunk, _keep: Arc::clone(&self.keep) })
    }
}

/// A piece in the function's memory. Dropping it releases it, also after an error.
struct RawChunk(FezzChunk);

// SAFETY: the contract lets a chunk be read and released from any thread.
unsafe impl Send for RawChunk {}

impl RawChunk {
    /// The trailers, as the last piece of the body.
    fn trailers(&self) -> Result<Option<Frame<Bytes>>, StreamError> {
        let pairs = self.0.trailers;
        if pairs.len == 0 {
            return Ok(None);
        }
        if pairs.is_malformed() {
            return Err(StreamError::Trailers(pairs.len));
        }
        // SAFETY: not malformed, and the function keeps the pairs valid until the release.
        let pairs = unsafe { pairs.as_slice() };
        if pairs.iter().any(|pair| pair.name.is_malformed() || pair.value.is_malformed()) {
            return Err(StreamError::Trailers(pairs.len()));
        }
        // SAFETY: not malformed, and valid until the release.
        let bytes = |slice: FezzSlice| unsafe { slice.as_bytes() };
        let trailers = trailers(pairs.iter().map(|pair| (bytes(pair.name), bytes(pair.value))))?;
        Ok(Some(trailers).filter(|trailers| !trailers.is_empty()).map(Frame::trailers))
    }
}

impl AsRef<[u8]> for RawChunk {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the function keeps the bytes valid until the release, which is in the drop of `self`.
        unsafe { self.0.data.as_bytes() }
    }
}

impl Drop for RawChunk {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: called once, with the context that belongs to it.
            unsafe { release(self.0.ctx) };
        }
    }
}

/// A piece, as an owner for [`Bytes::from_owner`].
struct OwnedChunk {
    chunk: RawChunk,
    _keep: Keep,
}

impl AsRef<[u8]> for OwnedChunk {
    fn as_ref(&self) -> &[u8] {
        self.chunk.as_ref()
    }
}
