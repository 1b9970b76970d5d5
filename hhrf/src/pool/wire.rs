//! What goes over a slot's socket: requests from the parts of a call, and replies from what a worker says.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::ffi::{CallParts, Reply, ReplyError};
use crate::hop_by_hop::HopByHop;
use crate::worker::{Encoder, INLINE_BODY, Kind, Outcome, ProtocolError, STREAMED, WireResponse};

/// Adds the frame of a call to these, with its body where that is there already and short.
pub(super) fn request(
    frames: &mut Vec<u8>,
    parts: &CallParts,
    body: Option<&Bytes>,
    id: u32,
) -> Result<(), ProtocolError> {
    let mut head = Encoder::new(frames, Kind::Request, id);
    head.bytes(parts.head.parts.method.as_str().as_bytes());
    head.bytes(parts.path().as_bytes());
    head.bytes(parts.head.parts.uri.query().unwrap_or_default().as_bytes());
    head.bytes(parts.pattern().as_bytes());
    head.bytes(parts.request_id());
    head.bytes(parts.traceparent());
    head.bytes(parts.head.peer.address_text().as_bytes());
    let left = parts.time_left().map_or(0, |left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
    head.number(left);
    head.pairs(parts.params.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let headers: Vec<_> = parts.headers().collect();
    head.pairs(headers.into_iter());
    head.number(body.map_or(STREAMED, |body| body.len() as u64));
    if let Some(body) = body.filter(|body| body.len() <= INLINE_BODY) {
        head.rest(body);
    }
    head.finish()
}

/// Why there is no reply.
pub(super) fn failed(outcome: Outcome, reason: &[u8]) -> ReplyError {
    let reason = String::from_utf8_lossy(reason).into_owned();
    match outcome {
        Outcome::Panicked => ReplyError::Panicked(reason),
        Outcome::Failed => ReplyError::Failed(reason),
        Outcome::Answered | Outcome::Invalid | Outcome::Withdrawn => ReplyError::Worker(reason),
    }
}

/// What the worker answered, judged as if the function had answered in this process: a worker that was taken over by
/// its function may say anything.
pub(super) fn reply<B>(response: WireResponse, body: B) -> Result<Reply<B>, ReplyError> {
    let WireResponse { status, headers, .. } = response;
    let code = u16::try_from(status).ok().filter(|code| (200..=599).contains(code));
    let status = code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| ReplyError::Status(u32::try_from(status).unwrap_or(u32::MAX)))?;
    let mut map = HeaderMap::with_capacity(headers.len());
    for (index, (name, value)) in headers.into_iter().enumerate() {
        match (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&value)) {
            (Ok(name), Ok(value)) => _ = map.append(name, value),
            _ => {
                let name = String::from_utf8_lossy(&name).into_owned();
                return Err(ReplyError::Header { index, name });
            }
        }
    }
    HopByHop::strip(&mut map);
    map.remove(http::header::CONTENT_LENGTH);
    Ok(Reply { status, headers: map, body })
}
