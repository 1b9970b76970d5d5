//! The size of answers in one piece: each has a limit, and all that are not sent yet share a budget.

use std::sync::Arc;

use fezz_isolation::host::Budget;
use fezz_runtime::ffi::{Reply, ReplyBody, ReplyError};

use super::CallError;
use crate::function::Function;

/// Shorter answers are not counted: a connection holds only one or a few.
const COUNTED: u64 = 64 << 10;

/// The same answer, whose memory counts until it is sent; an error if it is too long, or if there is no memory left. A
/// stream is made at the client's pace.
pub(super) fn check_length(
    reply: Reply<ReplyBody>,
    function: &Function,
    memory: &Arc<Budget>,
) -> Result<Reply<ReplyBody>, CallError> {
    let ReplyBody::Whole(body) = &reply.body else { return Ok(reply) };
    let length = body.len() as u64;
    let limit = function.limits.max_response_bytes;
    if length > limit {
        return Err(ReplyError::TooLarge { length, limit }.into());
    }
    if length < COUNTED {
        return Ok(reply);
    }
    let reserved = memory.reserve(length).ok_or(CallError::NoMemory)?;
    Ok(reply.map(|body| match body {
        ReplyBody::Whole(body) => ReplyBody::Whole(reserved.attach(body)),
        stream @ ReplyBody::Stream(_) => stream,
    }))
}
