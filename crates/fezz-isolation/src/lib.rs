//! Functions in processes of their own: pools of sandboxed workers, and the calls that go to them.
//!
//! [`host`] is the host's side, a pool of worker processes for each isolated function. [`process`] is the worker itself.
//! [`protocol`] is what both say to each other over Unix sockets, [`sandbox`] what a worker gives up before it loads its
//! function. Workers need Linux; elsewhere they are refused with a clear error.

#![forbid(unsafe_code)]

pub mod host;
#[cfg(target_os = "linux")]
mod orphans;
pub mod process;
pub mod protocol;
pub mod sandbox;
