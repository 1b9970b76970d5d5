//! A function's answer as the host sees it: checked, and with the function's memory released exactly once.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use fezz_abi::{FezzResponse, FezzSlice, FezzStream, OUTCOME_FAILED, OUTCOME_PANICKED, OUTCOME_RETURNED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::ReplyStream;

/// What a function's memory needs to be there: while it is held, the function is not shut down.
pub type Keep = Arc<dyn Any + Send + Sync>;

/// Room for the headers that the host adds to an answer: a map that grows is filled twice.
const HOST_HEADERS: usize = 4;

/// An answer that can be sent.
#[derive(Debug)]
pub struct Reply<B> {
    /// A final status.
    pub status: StatusCode,
    /// All headers that the function set.
    pub headers: HeaderMap,
    /// The body.
    pub body: B,
}

impl<B> Reply<B> {
    /// The same answer with another body.
    pub fn map<C>(self, body: impl FnOnce(B) -> C) -> Reply<C> {
        Reply { status: self.status, headers: self.headers, body: body(self.body) }
    }
}

/// A body as it comes from a library.
#[derive(Debug)]
pub enum ReplyBody {
    /// The whole of it.
    Whole(Bytes),
    /// In pieces, on demand.
    Stream(ReplyStream),
}

/// An answer that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The function panicked; the message.
    #[error("the function panicked: {0}")]
    Panicked(String),
    /// The function could not build its response; the reason.
    #[error("the function failed: {0}")]
    Failed(String),
    /// The contract has no such outcome.
    #[error("the function wrote outcome {0}, which this host does not know")]
    Outcome(u32),
    /// Not a final status.
    #[error("the function answered with status {0}; a final status lies between 200 and 599")]
    Status(u32),
    /// The array of headers cannot be read; its length.
    #[error("the function's headers are a null or misaligned array of {0}")]
    HeaderArray(usize),
    /// A header that is not valid in HTTP.
    #[error("the function answered with a header that cannot be sent, number {index}: `{name}`")]
    Header {
        /// Its place among the headers, from 0.
        index: usize,
        /// Its name, as far as it is UTF-8.
        name: String,
    },
    /// A null body with a length.
    #[error("the function's body is a null pointer with a length of {0} bytes")]
    Body(usize),
    /// A misaligned stream.
    #[error("the function's body stream is a misaligned pointer")]
    Stream,
    /// What a worker process says of its call.
    #[error("{0}")]
    Worker(String),
    /// `fezz_fetch_async` left no task.
    #[error("the function did not start its asynchronous call")]
    NotStarted,
    /// The contract has no such answer to a poll.
    #[error("the function's poll gave answer {0}, which this host does not know")]
    TaskAnswer(u32),
}

/// The C struct as the function filled it in; released when dropped.
#[derive(Debug)]
pub struct RawReply(FezzResponse);

// SAFETY: the contract lets the response be read and released from any thread.
unsafe impl Send for RawReply {}
// SAFETY: shared use only reads.
unsafe impl Sync for RawReply {}

impl RawReply {
    pub(super) const fn new(response: FezzResponse) -> Self {
        Self(response)
    }

    /// Checks the answer. Its body is not copied: it keeps the function's memory, and `keep` keeps the function loaded.
    ///
    /// # Errors
    /// Where the function panicked or failed, or its answer cannot be sent.
    pub fn into_reply(self, keep: Keep) -> Result<Reply<ReplyBody>, ReplyError> {
        if self.0.body.is_malformed() {
            return Err(ReplyError::Body(self.0.body.len));
        }
        match self.0.outcome {
            OUTCOME_RETURNED => {}
            OUTCOME_PANICKED => return Err(ReplyError::Panicked(self.text())),
            OUTCOME_FAILED => return Err(ReplyError::Failed(self.text())),
            other => return Err(ReplyError::Outcome(other)),
        }
        if !self.0.stream.is_aligned() {
            return Err(ReplyError::Stream);
        }
        Ok(Reply { status: self.status()?, headers: self.headers()?, body: self.into_body(keep) })
    }

    /// The body as a stream, where it is one.
    pub(super) fn stream(&self) -> Option<&FezzStream> {
        // SAFETY: null, or the function's, which keeps it valid until the release.
        unsafe { self.0.stream.as_ref() }
    }

    fn status(&self) -> Result<StatusCode, ReplyError> {
        let code = u16::try_from(self.0.status).ok().filter(|code| (200..=599).contains(code));
        code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(ReplyError::Status(self.0.status))
    }

    /// All headers, in order. Which of them travel on is the caller's decision.
    fn headers(&self) -> Result<HeaderMap, ReplyError> {
        if self.0.headers.is_malformed() {
            return Err(ReplyError::HeaderArray(self.0.headers.len));
        }
        // SAFETY: not malformed, and the function keeps the pairs valid until the release.
        let pairs = unsafe { self.0.headers.as_slice() };
        let mut headers = HeaderMap::with_capacity(pairs.len() + HOST_HEADERS);
        for (index, pair) in pairs.iter().enumerate() {
            let (name, value) = (self.bytes(pair.name), self.bytes(pair.value));
            let malformed = pair.name.is_malformed() || pair.value.is_malformed();
            let (Ok(name), Ok(value), false) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value), malformed)
            else {
                return Err(ReplyError::Header { index, name: String::from_utf8_lossy(name).into_owned() });
            };
            headers.append(name, value);
        }
        Ok(headers)
    }

    fn into_body(self, keep: Keep) -> ReplyBody {
        if !self.0.stream.is_null() {
            return ReplyBody::Stream(ReplyStream::new(self, keep));
        }
        if self.0.body.len == 0 {
            return ReplyBody::Whole(Bytes::new());
        }
        ReplyBody::Whole(Bytes::from_owner(WholeBody { raw: self, _keep: keep }))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes(self.0.body)).into_owned()
    }

    fn bytes(&self, slice: FezzSlice) -> &[u8] {
        // SAFETY: the function keeps the bytes valid until the release, which is in the drop of `self`.
        unsafe { slice.as_bytes() }
    }
}

impl Drop for RawReply {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: once, with the pointer that belongs to it.
            unsafe { release(self.0.ctx) };
        }
    }
}

/// The body, as an owner for [`Bytes::from_owner`]. The function is not shut down while an answer of its is on its way.
struct WholeBody {
    raw: RawReply,
    _keep: Keep,
}

impl AsRef<[u8]> for WholeBody {
    fn as_ref(&self) -> &[u8] {
        self.raw.bytes(self.raw.0.body)
    }
}
