//! Process isolation: each isolated function runs in a pool of sandboxed worker processes.
//!
//! [`host`] is the host's side: the pool of each function. [`process`] is the worker's side. [`protocol`] is the messages
//! that both exchange over Unix sockets. [`sandbox`] restricts a worker before it loads its function. Workers need Linux;
//! on other systems they are refused with a clear error. Imports run one way: host and process use protocol, protocol
//! uses sandbox.

#![forbid(unsafe_code)]

pub mod host;
#[cfg(target_os = "linux")]
mod orphans;
pub mod process;
pub mod protocol;
pub mod sandbox;
