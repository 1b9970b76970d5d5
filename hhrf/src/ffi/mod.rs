//! The C boundary, host side: the only part of the host that contains `unsafe` code.
//!
//! [`Library`] knows how a library is opened and what it exports, [`Call`] is a request as a function sees it,
//! [`Task`] a call that is polled, [`Reply`] a function's answer as the host sees it, [`ReplyStream`] its body in pieces,
//! [`HostTable`] what a function may call. Each owns all that its C twin points to, so that nothing outside this module
//! can use memory that is gone. [`RemoteCall`] is a request in a worker process, [`Shared`] memory that two processes
//! have in common; [`lease()`] and [`scheduling`] are system calls.

#![expect(unsafe_code, reason = "calls into function libraries; fezz-abi/include/fezz.h is the contract")]

mod call;
mod descriptor;
mod host;
pub(crate) mod inflight;
mod lease;
mod library;
mod remote;
mod reply;
pub(crate) mod scheduling;
mod shared;
mod stream;
mod task;
mod upload;

pub(crate) use call::{Call, CallBody, CallParts};
pub(crate) use descriptor::{adopt, wait_on};
pub(crate) use host::{HostTable, Identity, TARGET, log_level};
pub(crate) use lease::{Lease, lease};
pub(crate) use library::{Library, OpenError};
pub(crate) use remote::{RemoteBody, RemoteCall};
pub(crate) use reply::{Keep, RawReply, Reply, ReplyBody, ReplyError};
pub(crate) use shared::Shared;
pub(crate) use stream::{Piece, ReplyStream, StreamError};
pub(crate) use task::Task;
pub(crate) use upload::Pieces;
