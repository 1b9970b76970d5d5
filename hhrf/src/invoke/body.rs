//! Reads a request's body, within its limit and not at a snail's pace.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::{Instant, sleep_until};

/// A client that is slower than this for long is not one: whole bodies get the grace time, and a second more for each
/// of these many bytes.
const BYTES_PER_SECOND: u64 = 1024;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request body is larger than the {limit} bytes that the function takes")]
    TooLarge { limit: u64 },
    #[error("the request body did not arrive in time; {received} bytes came")]
    Timeout { received: usize },
    #[error("the request body broke off: {0}")]
    Broken(#[source] axum::Error),
}

/// The whole body. Answers early where the head announces more than `limit` bytes.
pub(crate) async fn read(
    body: Body,
    headers: &HeaderMap,
    limit: u64,
    grace: Duration,
) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(BodyError::TooLarge { limit });
    }
    collect(body, limit, grace).await
}

async fn collect(mut body: Body, limit: u64, grace: Duration) -> Result<Bytes, BodyError> {
    let start = Instant::now();
    let mut patience = pin!(sleep_until(start + grace));
    let mut whole = Gathered::Nothing;
    loop {
        // Biased, so that a body which is there already never touches the timer.
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = &mut patience => {
                let received = whole.len();
                let earned = Duration::from_secs(received as u64 / BYTES_PER_SECOND);
                if Instant::now() >= start + grace + earned {
                    return Err(BodyError::Timeout { received });
                }
                patience.as_mut().reset(start + grace + earned);
                continue;
            }
        };
        let Some(frame) = frame else { return Ok(whole.into_bytes()) };
        // Trailers are not passed on.
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        if (whole.len() + data.len()) as u64 > limit {
            return Err(BodyError::TooLarge { limit });
        }
        whole = whole.and(data);
    }
}

/// The pieces so far; a body of one piece is not copied.
enum Gathered {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(data) => data.len(),
            Self::Many(data) => data.len(),
        }
    }

    fn and(self, data: Bytes) -> Self {
        match self {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let mut whole = BytesMut::with_capacity((first.len() + data.len()) * 2);
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&data);
                Self::Many(whole)
            }
            Self::Many(mut whole) => {
                whole.extend_from_slice(&data);
                Self::Many(whole)
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(data) => data,
            Self::Many(data) => data.freeze(),
        }
    }
}
