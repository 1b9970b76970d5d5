//! A Rust response as the C contract's: borrowed slices of one box, which `release` frees.

use fezz_abi::{
    FezzPair, FezzPairs, FezzResponse, FezzSlice, OUTCOME_FAILED, OUTCOME_PANICKED, OUTCOME_RETURNED,
};

use super::release;
use crate::FezzHttpResponse;

/// What a [`FezzResponse`] of ours borrows from; its address goes to the host as `ctx`.
struct Owner {
    response: FezzHttpResponse,
    headers: Vec<FezzPair>,
}

/// The response of a function that returned.
pub(super) fn encode(response: FezzHttpResponse) -> FezzResponse {
    if let Some(reason) = response.defect() {
        return failed(reason.to_owned());
    }
    // Header names and values point into the map, which does not move again once it is in its box.
    let mut owner = Box::new(Owner { headers: Vec::with_capacity(response.headers().len()), response });
    owner.headers.extend(owner.response.headers().iter().map(|(name, value)| FezzPair {
        name: FezzSlice::new(name.as_str().as_bytes()),
        value: FezzSlice::new(value.as_bytes()),
    }));
    FezzResponse {
        outcome: OUTCOME_RETURNED,
        status: u32::from(owner.response.status().as_u16()),
        headers: FezzPairs::new(&owner.headers),
        body: FezzSlice::new(owner.response.body()),
        ctx: Box::into_raw(owner).cast(),
        release: Some(release::<Owner>),
        ..FezzResponse::EMPTY
    }
}

/// The response of a function that panicked with this message.
pub(super) fn panicked(message: String) -> FezzResponse {
    without_response(OUTCOME_PANICKED, message)
}

/// The response of a function that has none, for this reason.
pub(super) fn failed(reason: String) -> FezzResponse {
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
