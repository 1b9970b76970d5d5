//! The host's codec: encodes requests, decodes replies.

use std::time::Duration;

use bytes::Bytes;
use fezz_runtime::ffi::{HOST_HEADERS, Reply, ReplyError, RequestSource};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::frame::{FrameKind, INLINE_BODY, ProtocolError, STREAMED};
use super::message::{Outcome, WireResponse};
use super::payload::Encoder;

/// Appends a call's request frame to `frames`, with the body if it fits in ([`INLINE_BODY`]); `None` is a streamed body.
pub(crate) fn encode_request(
    frames: &mut Vec<u8>,
    source: &dyn RequestSource,
    time_left: Duration,
    body: Option<&Bytes>,
    id: u32,
) -> Result<(), ProtocolError> {
    let mut head = Encoder::new(frames, FrameKind::Request, id);
    head.bytes(source.method());
    head.bytes(source.path());
    head.bytes(source.query());
    head.bytes(source.route());
    head.bytes(source.request_id());
    head.bytes(source.traceparent());
    head.bytes(source.client_addr());
    head.small(source.http_version());
    head.small(source.flags());
    head.bytes(source.scheme());
    head.bytes(source.authority());
    head.bytes(source.upgrade());
    head.number(u64::try_from(time_left.as_nanos()).unwrap_or(u64::MAX).max(1));
    head.pairs(|to| source.params(to));
    head.pairs(|to| source.headers(to));
    head.pairs(|to| source.trailers(to));
    head.number(body.map_or(STREAMED, |body| body.len() as u64));
    if let Some(body) = body.filter(|body| body.len() <= INLINE_BODY) {
        head.rest(body);
    }
    head.finish()
}

/// The error of a call without an answer.
pub(crate) fn reply_error(outcome: Outcome, reason: &[u8]) -> ReplyError {
    let reason = String::from_utf8_lossy(reason).into_owned();
    match outcome {
        Outcome::Panicked => ReplyError::Panicked(reason),
        Outcome::Failed => ReplyError::Failed(reason),
        Outcome::Answered | Outcome::Invalid | Outcome::Withdrawn => ReplyError::Worker(reason),
    }
}

/// Checks a worker's response like that of a function in this process: a function can take over its worker, which may
/// then send anything. Whether 101 may be its status, the caller knows.
pub(crate) fn decode_reply<B>(response: WireResponse, body: B) -> Result<Reply<B>, ReplyError> {
    let WireResponse { status, headers, .. } = response;
    let code = u16::try_from(status).ok().filter(|code| matches!(code, 101 | 200..=599));
    let status = code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| ReplyError::Status(u32::try_from(status).unwrap_or(u32::MAX)))?;
    let too_many = ReplyError::TooManyHeaders(headers.len());
    let Ok(mut map) = HeaderMap::try_with_capacity(headers.len() + HOST_HEADERS) else {
        return Err(too_many);
    };
    for (index, (name, value)) in headers.into_iter().enumerate() {
        match (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&value)) {
            (Ok(name), Ok(value)) => {
                if map.try_append(name, value).is_err() {
                    return Err(too_many);
                }
            }
            _ => {
                let name = String::from_utf8_lossy(&name).into_owned();
                return Err(ReplyError::Header { index, name });
            }
        }
    }
    Ok(Reply { status, headers: map, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_headers_than_a_message_can_have_are_refused() {
        let headers = vec![(Bytes::from_static(b"a"), Bytes::new()); 30_000];
        let (outcome, body) = (Outcome::Answered, Bytes::new());
        let response = WireResponse { outcome, status: 200, took_ns: 0, headers, body_length: 0, body };
        assert!(matches!(decode_reply(response, ()), Err(ReplyError::TooManyHeaders(30_000))));
    }
}
