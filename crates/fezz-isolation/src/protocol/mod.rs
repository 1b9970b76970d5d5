//! The protocol between host and worker: frames over Unix sockets, their messages, and claims in shared memory.

mod claims;
mod codec;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod message;
mod payload;

pub(crate) use claims::Claims;
pub(crate) use codec::{decode_reply, encode_request, reply_error};
pub(crate) use frame::{CHUNK, FrameHeader, HEADER_LEN, INLINE_BODY, STREAMED, read_frame};
pub use frame::{FrameKind, ProtocolError};
pub use message::Abilities;
pub(crate) use message::{
    Outcome, Ready, Record, Setup, WireRequest, WireResponse, decode_trailers, encode_end,
    encode_response_head,
};
pub(crate) use payload::{Decoder, Encoder};

/// A call's flag in shared memory: its caller has gone, or its time is over.
pub(crate) const CANCELLED: u32 = 1;
/// The same: its upgraded connection should end.
pub(crate) const CLOSING: u32 = 2;

/// The command-line argument that starts the host's program as a worker.
pub const WORKER_ARGUMENT: &str = "worker";
