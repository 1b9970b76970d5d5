//! Read leases on files (fcntl(2), `F_SETLEASE`): while one is held, no process has the file open for writing.
//!
//! A process that opens the file for writing blocks until the lease ends: when the descriptor is closed, or after
//! `/proc/sys/fs/lease-break-time` seconds.

use std::fs::File;

/// The result of a request for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Held until the file is closed.
    Granted,
    /// A process has the file open for writing.
    Busy,
    /// Leases are not available: on this system, this file system, or for this owner's files.
    Unknown,
}

/// Asks for a read lease on `file`, which is open for reading only.
#[cfg(target_os = "linux")]
pub fn lease(file: &File) -> Lease {
    use std::os::fd::AsRawFd;

    /// Linux's number of the command, which libc does not name for all targets.
    const F_SETSIG: libc::c_int = 10;

    let descriptor = file.as_raw_fd();
    // The kernel signals the holder when a writer waits. The default, SIGIO, would end the process; SIGURG is ignored.
    // SAFETY: changes nothing but a setting of this descriptor, which is open.
    if unsafe { libc::fcntl(descriptor, F_SETSIG, libc::SIGURG) } != 0 {
        return Lease::Unknown;
    }
    // SAFETY: as above; the lease ends with the descriptor.
    match unsafe { libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_RDLCK) } {
        0 => Lease::Granted,
        _ if std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) => Lease::Busy,
        _ => Lease::Unknown,
    }
}

/// Always [`Lease::Unknown`].
#[cfg(not(target_os = "linux"))]
pub const fn lease(_: &File) -> Lease {
    Lease::Unknown
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_file_that_is_open_for_writing_is_busy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let reader = File::open(&path).unwrap();
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        assert_eq!(lease(&reader), Lease::Busy);
        drop(writer);
        assert_eq!(lease(&reader), Lease::Granted);
    }

    #[test]
    fn a_writer_waits_for_the_lease_and_the_holder_survives_its_signal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let reader = File::open(&path).unwrap();
        assert_eq!(lease(&reader), Lease::Granted);
        let (opened, opening) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                OpenOptions::new().write(true).open(&path).unwrap();
                opened.send(()).unwrap();
            });
            assert!(opening.recv_timeout(std::time::Duration::from_millis(200)).is_err());
            drop(reader);
            opening.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        });
    }
}
