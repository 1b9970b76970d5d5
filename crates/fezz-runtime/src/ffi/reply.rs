//! A function's answer, checked by the host.

use bytes::Bytes;
use fezz_abi::{OUTCOME_FAILED, OUTCOME_PANICKED, OUTCOME_RETURNED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::raw_reply::{Keep, RawReply};
use super::stream::ReplyStream;

/// Extra capacity of an answer's headers for those that the host adds: the map must not grow, which it may refuse.
pub const HOST_HEADERS: usize = 8;

/// An answer that can be sent.
#[derive(Debug)]
pub struct Reply<B> {
    /// A final status, 200 to 599; or 101 with a stream, where an upgrade was on offer.
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
    /// The whole body.
    Whole(Bytes),
    /// Pieces, on demand.
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
    /// 101, and no upgrade was on offer.
    #[error("the function answered with status 101, and no upgrade was on offer")]
    NotOffered,
    /// 101 without a stream.
    #[error(
        "the function answered with status 101, and without a stream of what it sends to the client then"
    )]
    NoUpgradeStream,
    /// The array of headers cannot be read; its length.
    #[error("the function's headers are a null or misaligned array of {0}")]
    HeaderArray(usize),
    /// More headers than a message can have; their number.
    #[error("the function answered with {0} headers, which are more than a message can have")]
    TooManyHeaders(usize),
    /// A body in one piece that is longer than it may be.
    #[error(
        "the function answered with a body of {length} bytes, and {limit} are the most in one piece; stream it"
    )]
    TooLarge {
        /// Its length in bytes.
        length: u64,
        /// The most that it may have.
        limit: u64,
    },
    /// A `content-length` of a streamed body that is no length; its value.
    #[error("the function declared the length of its stream as `{0}`, which is none")]
    ContentLength(String),
    /// A header that is not valid in HTTP.
    #[error("the function answered with a header that cannot be sent, number {index}: `{name}`")]
    Header {
        /// Its place among the headers, from 0.
        index: usize,
        /// Its name; invalid UTF-8 is replaced.
        name: String,
    },
    /// A null body with a length.
    #[error("the function's body is a null pointer with a length of {0} bytes")]
    Body(usize),
    /// A misaligned stream.
    #[error("the function's body stream is a misaligned pointer")]
    Stream,
    /// A worker process reported an error; the reason.
    #[error("{0}")]
    Worker(String),
    /// `fezz_fetch_async` returned no task.
    #[error("the function did not start its asynchronous call")]
    NotStarted,
    /// The contract has no such result of a poll.
    #[error("the function's poll gave answer {0}, which this host does not know")]
    TaskAnswer(u32),
}

impl RawReply {
    /// Checks the answer. Its body is not copied: it stays in the function's memory, and `keep` keeps the function loaded.
    /// `offered` says whether an upgrade was on offer, so that 101 may be the status.
    ///
    /// # Errors
    /// If the function panicked or failed, or its answer cannot be sent.
    pub fn into_reply(self, keep: Keep, offered: bool) -> Result<Reply<ReplyBody>, ReplyError> {
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
        Ok(Reply { status: self.status(offered)?, headers: self.headers()?, body: self.into_body(keep) })
    }

    fn status(&self, offered: bool) -> Result<StatusCode, ReplyError> {
        if self.0.status == u32::from(StatusCode::SWITCHING_PROTOCOLS.as_u16()) {
            return self.switching(offered);
        }
        let code = u16::try_from(self.0.status).ok().filter(|code| (200..=599).contains(code));
        code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(ReplyError::Status(self.0.status))
    }

    fn switching(&self, offered: bool) -> Result<StatusCode, ReplyError> {
        match (offered, self.0.stream.is_null()) {
            (false, _) => Err(ReplyError::NotOffered),
            (true, true) => Err(ReplyError::NoUpgradeStream),
            (true, false) => Ok(StatusCode::SWITCHING_PROTOCOLS),
        }
    }

    /// All headers, in order. The caller decides which of them are sent.
    fn headers(&self) -> Result<HeaderMap, ReplyError> {
        if self.0.headers.is_malformed() {
            return Err(ReplyError::HeaderArray(self.0.headers.len));
        }
        // SAFETY: not malformed, and the function keeps the pairs valid until the release.
        let pairs = unsafe { self.0.headers.as_slice() };
        let too_many = || ReplyError::TooManyHeaders(pairs.len());
        let capacity = pairs.len().saturating_add(HOST_HEADERS);
        let mut headers = HeaderMap::try_with_capacity(capacity).map_err(|_| too_many())?;
        for (index, pair) in pairs.iter().enumerate() {
            let (name, value) = (self.bytes(pair.name), self.bytes(pair.value));
            let malformed = pair.name.is_malformed() || pair.value.is_malformed();
            let (Ok(name), Ok(value), false) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value), malformed)
            else {
                return Err(ReplyError::Header { index, name: String::from_utf8_lossy(name).into_owned() });
            };
            headers.try_append(name, value).map_err(|_| too_many())?;
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
}

/// A whole body, as an owner for [`Bytes::from_owner`].
struct WholeBody {
    raw: RawReply,
    _keep: Keep,
}

impl AsRef<[u8]> for WholeBody {
    fn as_ref(&self) -> &[u8] {
        self.raw.bytes(self.raw.0.body)
    }
}
