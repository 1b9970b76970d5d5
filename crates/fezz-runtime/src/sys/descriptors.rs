//! Owning, awaiting and closing raw file descriptors.

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

/// Closes every descriptor but standard input, output and error. To be called first thing in a process that is started
/// with nothing else: what its parent had open without close-on-exec is not for it to use.
///
/// Whatever in this process uses another descriptor finds it closed, and would use one that is opened later.
pub fn close_inherited() {
    /// The first descriptor behind standard error.
    const FIRST: RawFd = 3;

    #[cfg(target_os = "linux")]
    {
        // SAFETY: takes plain numbers; the caller says that nothing uses these descriptors.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
        if closed == 0 {
            return;
        }
    }
    // A kernel before 5.9, or another system.
    let open = std::fs::read_dir("/proc/self/fd").or_else(|_| std::fs::read_dir("/dev/fd"));
    let names = open.into_iter().flatten().flatten();
    let open: Vec<RawFd> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= FIRST) {
        // SAFETY: as above. That of the folder itself is closed already, which is an error without effect.
        unsafe { libc::close(descriptor) };
    }
}
