//! Owning and awaiting raw file descriptors.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the tokio runtime, within which this must be called.
///
/// # Errors
/// Where the runtime cannot poll it.
pub fn wait_on(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open, and the same one, for as long as it lives; the AsyncFd owns it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// Takes ownership of a descriptor that this process inherited and that nothing else in it uses.
pub fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the parent process has left it open and handed it over.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
