//! Descriptors that the runtime waits for.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

/// Lets the runtime, within which this must be called, wait for a descriptor to be ready.
pub(crate) fn wait_on(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open, and the same one, for as long as it lives; the AsyncFd owns it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// Takes over a descriptor that this process was started with, and that nobody else in it knows.
pub(crate) fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: who started this process has said that it is open, and handed it over.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
