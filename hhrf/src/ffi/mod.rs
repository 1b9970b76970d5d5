//! The C boundary, host side: the only part of the host that contains `unsafe` code.
//!
//! [`Library`] knows how a library is opened and what it exports, [`Call`] is a request as a function sees it,
//! [`Reply`] a function's answer as the host sees it, [`HostTable`] what a function may call; [`lease()`] is a system call. Each owns all that its C
//! twin points to, so that nothing outside this module can use memory that is gone.

#![expect(unsafe_code, reason = "calls into function libraries; fezz-abi/include/fezz.h is the contract")]

mod call;
mod host;
mod lease;
mod library;
mod reply;

pub(crate) use call::{Call, CallParts};
pub(crate) use host::{HostTable, Identity};
pub(crate) use lease::{Lease, lease};
pub(crate) use library::{Library, OpenError};
pub(crate) use reply::{Reply, ReplyError};
