//! A Rust response as the C contract's: borrowed slices of one box, which `release` frees.

use bytes::Bytes;
use fezz_abi::{
    FezzPair, FezzPairs, FezzResponse, FezzSlice, OUTCOME_FAILED, OUTCOME_PANICKED, OUTCOME_RETURNED,
};
use http::HeaderMap;

use super::stream::Download;
use super::{RequestRef, release};
use crate::FezzHttpResponse;
use crate::body::Payload;

/// What a [`FezzResponse`] of ours borrows from; its address goes to the host as `ctx`.
struct Owner {
    headers: HeaderMap,
    pairs: Vec<FezzPair>,
    body: Bytes,
    download: Option<Download>,
}

/// The response of a function that returned.
pub(super) fn encode(response: FezzHttpResponse, request: &RequestRef) -> FezzResponse {
    let (status, headers, body) = match response.into_parts() {
        Ok(parts) => parts,
        Err(defect) => return failed(defect),
    };
    let (body, download) = match body.into_payload() {
        Payload::Whole(body) => (body, None),
        Payload::Made(source) => (Bytes::new(), Some(Download::new(source, request))),
    };
    // Header names and values point into the map, which does not move again once it is in its box.
    let mut owner = Box::new(Owner { pairs: Vec::with_capacity(headers.len()), headers, body, download });
    owner.pairs.extend(owner.headers.iter().map(|(name, value)| FezzPair {
        name: FezzSlice::new(name.as_str().as_bytes()),
        value: FezzSlice::new(value.as_bytes()),
    }));
    // All that the host gets is derived from the pointer that `release` gets back, so that using one ends no other.
    let ctx = Box::into_raw(owner);
    // SAFETY: it was just made, and nobody else has it yet.
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

/// The response to a request that is not one.
pub(super) fn malformed() -> FezzResponse {
    failed("the host's request is malformed".to_owned())
}

/// The response of a function that panicked with this message.
pub(super) fn panicked(message: String) -> FezzResponse {
    without_response(OUTCOME_PANICKED, message)
}

/// The response of a function that has none, for this reason.
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
