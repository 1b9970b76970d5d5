//! System calls that need `unsafe`, and those that only Linux has.
//!
//! Worker processes and the supervisor need sealed shared memory, pidfds and the parent-death signal. On other systems
//! these fail with a clear error: `"isolation": "process"` is refused at deployment, and `hhrf` serves in one process.

#![expect(unsafe_code, reason = "system calls without a safe wrapper: each block says why it is sound")]

pub mod crash_record;
mod descriptor_passing;
mod descriptors;
mod dispositions;
mod end;
mod environment;
mod lease;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;
pub mod scheduling;
mod shared_memory;
pub mod static_tls;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod thread_keys;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use other as platform;

pub use descriptor_passing::{MAX_FDS, receive_with_fds, send_with_fds};
pub use descriptors::{adopt, close_inherited, wait_on};
pub use dispositions::{remember_dispositions, restore_dispositions};
pub use end::end_process;
pub use environment::{set_environment, shared_environment, started_with, take_environment};
pub use lease::{Lease, lease};
pub use platform::{
    detect_dead_peers, die_with_parent, ended_child, pidfd, seal, seal_writes, set_process_name,
    spawn_without_huge_pages, unsent,
};
pub use shared_memory::Shared;
pub use static_tls::THREAD_STACK_BYTES;

/// Whether this system has what the supervisor and worker processes need.
pub const SUPERVISES: bool = cfg!(target_os = "linux");
