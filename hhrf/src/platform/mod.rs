//! What only Linux has, and what stands in its place elsewhere: clear refusals.
//!
//! Worker processes and the supervisor rest on sealed memory, on descriptors of processes and on a child that dies with
//! its parent. Without them `"isolation": "process"` is refused when a function is deployed, and `hhrf` serves in one
//! process.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::*;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

/// Whether there can be a supervisor and workers.
pub const SUPERVISES: bool = cfg!(target_os = "linux");
