//! Reading files of the functions folder, which another process may still be writing.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use fezz_runtime::sys::{Lease, lease};
use rustix::fs::{Mode, OFlags};

/// Larger files are not read into memory.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads a file of a function's folder, through one descriptor: what is checked is what is used. Somebody may be
/// writing it; what is read is the file as it was at one moment. Links may lead about within the folder, but not out
/// of it.
///
/// # Errors
/// Also where the file is being written for longer than [`SETTLE_PATIENCE`].
pub(in crate::catalog) fn read(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    read_settled(|| open(folder, name), Duration::ZERO)
}

/// Reads a file that may be anywhere, in the same way, when nothing has changed in it for `settle`.
///
/// # Errors
/// As those of [`read`].
pub(in crate::catalog) fn read_anywhere(path: &Path, settle: Duration) -> io::Result<Vec<u8>> {
    read_settled(|| Ok(rustix::fs::open(path, FLAGS, Mode::empty())?.into()), settle)
}

fn read_settled(open: impl Fn() -> io::Result<File>, settle: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + settle + SETTLE_PATIENCE;
    loop {
        let file = open()?;
        let read = match lease(&file) {
            _ if !Stamp::of(&file)?.is_older_than(settle) => None,
            // No process has it open for writing, or can open it so until it is closed.
            Lease::Granted => Some(contents(&file)?),
            Lease::Busy => None,
            Lease::Unknown => contents_between_writes(&file)?,
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

/// The contents, if the file's times show that it was not written meanwhile.
fn contents_between_writes(file: &File) -> io::Result<Option<Vec<u8>>> {
    let before = Stamp::of(file)?;
    if !before.is_older_than(TICK) {
        return Ok(None);
    }
    let data = contents(file)?;
    Ok((Stamp::of(file)? == before).then_some(data))
}

/// How long to wait for a file that is being written. The next change or rescan tries again.
const SETTLE_PATIENCE: Duration = Duration::from_millis(500);
/// A file's times have the resolution of the kernel's tick, 10 ms at most. Two writes in one tick leave the same time, so
/// that only the times of a file that was last written in an earlier tick reveal the next write.
const TICK: Duration = Duration::from_millis(11);

/// The part of a file's metadata that changes when it is written.
#[derive(PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self {
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    fn is_older_than(&self, least: Duration) -> bool {
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(self.changed.0), u32::try_from(self.changed.1)) else {
            return true;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        // A time in the future says that the clock was set back, and nothing about the file.
        changed.elapsed().map_or(true, |age| age >= least)
    }
}

fn open(folder: &Path, name: &str) -> io::Result<File> {
    Ok(File::from(open_beneath(folder, name)?))
}

fn contents(file: &File) -> io::Result<Vec<u8>> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 GiB"));
    }
    let mut data = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
    file.take(MAX_FILE_BYTES).read_to_end(&mut data)?;
    Ok(data)
}

/// Opens without blocking, since the name may turn out to be a pipe's.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

fn open_beneath(folder: &Path, name: &str) -> io::Result<OwnedFd> {
    let folder = rustix::fs::open(folder, OFlags::DIRECTORY | FLAGS, Mode::empty())?;
    #[cfg(target_os = "linux")]
    {
        let beneath = rustix::fs::ResolveFlags::BENEATH;
        match rustix::fs::openat2(&folder, name, FLAGS, Mode::empty(), beneath) {
            Err(rustix::io::Errno::XDEV) => {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "it is a symbolic link that leads out of the folder",
                ));
            }
            // An old kernel, or a container that filters the call: no links at all, then.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {}
            other => return Ok(other?),
        }
    }
    Ok(rustix::fs::openat(&folder, name, FLAGS | OFlags::NOFOLLOW, Mode::empty())?)
}
