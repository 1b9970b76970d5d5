//! The host's side of the C boundary.
//!
//! [`Library`] opens a library and calls its exports. [`Call`] is a request as the function sees it, built from any
//! [`RequestSource`]; [`Task`] is a call that is polled. [`Reply`] is the function's answer, [`ReplyStream`] a streamed
//! body, [`HostTable`] the table of what a function may call. Each owns the memory that its C struct points to, so that
//! safe code cannot reach memory after its release.

#![expect(
    unsafe_code,
    reason = "calls into function libraries; crates/fezz-abi/include/fezz.h is the contract"
)]

mod call;
mod host;
mod library;
mod raw_reply;
mod reply;
mod source;
mod stream;
mod task;
mod trailers;
mod upload;

pub use call::Call;
pub use host::{HostTable, Identity, TARGET, log_level};
pub use library::{Library, OpenError};
pub use raw_reply::{Keep, RawReply};
pub use reply::{HOST_HEADERS, Reply, ReplyBody, ReplyError};
pub use source::{CallBody, Pieces, RequestBodies, RequestSource};
pub use stream::{Piece, ReplyStream, StreamError};
pub use task::Task;
pub use trailers::{TrailerError, strip_trailers, trailers};
