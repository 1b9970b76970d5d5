//! What host and worker say to each other: frames over Unix sockets, their messages, and claims in shared memory.

mod claims;
mod codec;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod message;

pub(crate) use claims::Claims;
pub(crate) use codec::{decode_reply, encode_request, reply_error};
pub(crate) use frame::{CHUNK, Decoder, Encoder, FrameHeader, HEADER_LEN, INLINE_BODY, STREAMED, read_frame};
pub use frame::{FrameKind, ProtocolError, decode_frames};
pub(crate) use message::{Outcome, Ready, Record, Setup, WireRequest, WireResponse, encode_response_head};

/// The argument by which the host starts its own program as a worker.
pub const WORKER_ARGUMENT: &str = "worker";
