//! Owning and awaiting raw file descriptors.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the current tokio runtime.
///
/// # Errors
/// If the runtime cannot poll it.
///
/// # Panics
/// Outside of a runtime.
pub fn wait_on(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open and the same while it lives, and the AsyncFd owns it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// Takes ownership of an inherited descriptor that nothing else in this process uses.
pub fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the parent process has left it open and handed it over.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
