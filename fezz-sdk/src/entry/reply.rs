//! Conversion of a Rust response to the C struct: slices borrowed from one box, which `release` frees.

use bytes::Bytes;
use fezz_abi::{
    FezzPair, FezzPairs, FezzResponse, FezzSlice, OUTCOME_FAILED, OUTCOME_PANICKED, OUTCOME_RETURNED,
};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};

use super::stream::Download;
use super::{RequestRef, release};
use crate::FezzHttpResponse;
use crate::body::Payload;

/// The memory behind a [`FezzResponse`]; its address is `ctx`.
struct Owner {
    headers: HeaderMap,
    pairs: Vec<FezzPair>,
    body: Bytes,
    download: Option<Download>,
}

/// The response of a function that returned.
pub(super) fn encode(response: FezzHttpResponse, request: &RequestRef) -> FezzResponse {
    let (status, mut headers, body) = match response.into_parts() {
        Ok(parts) => parts,
        Err(defect) => return failed(defect),
    };
    let (body, download) = match body.into_payload() {
        Payload::Buffered(body) => (body, None),
        Payload::Streamed(source) => {
            // What the body knows of itself stands over a header.
            if let Some(length) = source.size_hint().exact() {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            (Bytes::new(), Some(Download::new(source, request)))
        }
    };
    // Header names and values point into the map, which does not move once it is boxed.
    let mut owner = Box::new(Owner { pairs: Vec::with_capacity(headers.len()), headers, body, download });
    owner.pairs.extend(owner.headers.iter().map(|(name, value)| FezzPair {
        name: FezzSlice::new(name.as_str().as_bytes()),
        value: FezzSlice::new(value.as_bytes()),
    }));
    // All pointers are derived from the one that `release` gets back, so that no use invalidates another (aliasing).
    let ctx = Box::into_raw(owner);
    // SAFETY: just made, and not shared yet.
    let owner = unsafe { &mut *ctx };
    FezzResponse {
        outcome: OUTCOME_RETURNED,
        status: u32::from(status.as_u16()),
        headers: FezzPairs::new(&owner.pairs),
        body: FezzSlice::new(&owner.body),
        stream: owner.download.as_mut().map_or(std::ptr::null(), |download| download.point()),
        ctx: ctx.cast(),
        release: Some(release::<Owner>),
        ..FezzResponse::EMPTY
    }
}

/// The response to a malformed request.
pub(super) fn malformed() -> FezzResponse {
    failed("the host's request is malformed".to_owned())
}

/// The response of a function that panicked with this message.
pub(super) fn panicked(message: String) -> FezzResponse {
    without_response(OUTCOME_PANICKED, message)
}

/// The response of a function that could not build one.
fn failed(reason: String) -> FezzResponse {
    without_response(OUTCOME_FAILED, reason)
}

fn without_response(outcome: u32, text: String) -> FezzResponse {
    let text = Box::new(text);
    FezzResponse {
        outcome,
        body: FezzSlice::new(text.as_bytes()),
        ctx: Box::into_raw(text).cast(),
        release: Some(release::<String>),
        ..FezzResponse::EMPTY
    }
}
