//! The C boundary, host side.
//!
//! [`Library`] opens a library and calls what it exports. [`Call`] is a request as the function sees it, built from any
//! [`RequestSource`]; [`Task`] is a call that is polled. [`Reply`] is the function's answer, [`ReplyStream`] an answer's
//! body in pieces, [`HostTable`] what a function may call. Each owns all that its C twin points to, so that safe code
//! cannot reach memory that was released.

#![expect(
    unsafe_code,
    reason = "calls into function libraries; crates/fezz-abi/include/fezz.h is the contract"
)]

mod call;
mod host;
mod library;
mod reply;
mod source;
mod stream;
mod task;
mod upload;

pub use call::Call;
pub use host::{HostTable, Identity, TARGET, log_level};
pub use library::{Library, OpenError};
pub use reply::{Keep, RawReply, Reply, ReplyBody, ReplyError};
pub use source::{CallBody, Pieces, RequestSource};
pub use stream::{Piece, ReplyStream, StreamError};
pub use task::Task;
