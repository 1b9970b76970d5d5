//! Reading files of the functions folder, which another process may still be writing.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use fezz_runtime::sys::{Lease, lease};
use rustix::fs::{Mode, OFlags};

use super::stamp::Stamp;

/// Larger files are not read into memory.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads a file of a function's folder, through one descriptor: what is checked is what is used. Somebody may be
/// writing it; what is read is the file as it was at one moment. Links may lead about within the folder, but not out
/// of it.
///
/// # Errors
/// Also where the file is being written for longer than [`SETTLE_PATIENCE`].
pub(in crate::catalog) fn read(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    read_with(folder, OsStr::new(name), contents)
}

/// The same with a file that may be anywhere below the folder, and is read by `read`; what that made of the file while it was
/// being written is dropped.
///
/// # Errors
/// As those of [`read`].
pub(super) fn read_with<T>(
    folder: &Path,
    name: &OsStr,
    read: impl Fn(&File) -> io::Result<T>,
) -> io::Result<T> {
    read_settled(|| open(folder, name), Duration::ZERO, read)
}

/// Reads a file that may be anywhere, in the same way, when nothing has changed in it for `settle`.
///
/// # Errors
/// As those of [`read`].
pub(in crate::catalog) fn read_anywhere(path: &Path, settle: Duration) -> io::Result<Vec<u8>> {
    read_settled(|| Ok(rustix::fs::open(path, FLAGS, Mode::empty())?.into()), settle, contents)
}

/// Where a file or folder below `folder` is, by links too, without opening it: a pipe or a device may be there.
///
/// # Errors
/// Also for a link that [leads out](leads_out) of the folder.
pub(super) fn locate(folder: &Path, name: &Path) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    return open_beneath(folder, name.as_os_str(), OFlags::PATH | OFlags::CLOEXEC);
    #[cfg(not(target_os = "linux"))]
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system cannot follow links within a folder alone"))
}

/// Whether this error is about a link that leads out of the folder.
pub(super) fn leads_out(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<LeadsOut>())
}

#[derive(Debug, thiserror::Error)]
#[error("it is a symbolic link that leads out of the folder")]
struct LeadsOut;

fn read_settled<T>(
    open: impl Fn() -> io::Result<File>,
    settle: Duration,
    read: impl Fn(&File) -> io::Result<T>,
) -> io::Result<T> {
    let deadline = Instant::now() + settle + SETTLE_PATIENCE;
    loop {
        let file = open()?;
        expect_file(&file)?;
        let read = match lease(&file) {
            _ if !stamp(&file)?.is_older_than(settle) => None,
            // No process has it open for writing, or can open it so until it is closed.
            Lease::Granted => Some(read(&file)?),
            Lease::Busy => None,
            Lease::Unknown => read_between_writes(&file, &read)?,
        };
        if let Some(data) = read {
            return Ok(data);
        }
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is still being written"));
        }
        std::thread::sleep(TICK);
    }
}

/// What was read, if the file's times show that it was not written meanwhile.
fn read_between_writes<T>(file: &File, read: impl Fn(&File) -> io::Result<T>) -> io::Result<Option<T>> {
    let before = stamp(file)?;
    if !before.is_older_than(TICK) {
        return Ok(None);
    }
    let data = read(file)?;
    Ok((stamp(file)? == before).then_some(data))
}

/// How long to wait for a file that is being written. The next change or rescan tries again.
const SETTLE_PATIENCE: Duration = Duration::from_millis(500);
/// A file's times have the resolution of the kernel's tick, 10 ms at most. Two writes in one tick leave the same time, so
/// that only the times of a file that was last written in an earlier tick reveal the next write.
const TICK: Duration = Duration::from_millis(11);

fn stamp(file: &File) -> io::Result<Stamp> {
    Ok(Stamp::of(&file.metadata()?))
}

fn open(folder: &Path, name: &OsStr) -> io::Result<File> {
    Ok(File::from(open_beneath(folder, name, FLAGS)?))
}

fn expect_file(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

fn contents(file: &File) -> io::Result<Vec<u8>> {
    let found = file.metadata()?;
    if found.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 GiB"));
    }
    let mut data = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
    file.take(MAX_FILE_BYTES).read_to_end(&mut data)?;
    Ok(data)
}

/// Opens without blocking, since the name may turn out to be a pipe's.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

fn open_beneath(folder: &Path, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let folder = rustix::fs::open(folder, OFlags::DIRECTORY | FLAGS, Mode::empty())?;
    #[cfg(target_os = "linux")]
    {
        let beneath = rustix::fs::ResolveFlags::BENEATH;
        match rustix::fs::openat2(&folder, name, flags, Mode::empty(), beneath) {
            Err(rustix::io::Errno::XDEV) => {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, LeadsOut));
            }
            // An old kernel, or a container that filters the call: no links at all, then.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {}
            other => return Ok(other?),
        }
    }
    Ok(rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?)
}
