//! Fingerprints of folders: whether one has changed since its last scan, without reading its files.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file that was touched this recently may be touched again without its times showing it, since they move in the
/// kernel's ticks. (git calls such an entry racily clean.)
const RACY: Duration = Duration::from_secs(1);

/// The state of a folder's files at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Fingerprint {
    files: Vec<File>,
    settled: bool,
    /// When the folder or a file in it changed last.
    changed: Option<SystemTime>,
}

/// What changes when an entry is added to a folder or removed from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct FolderStamp {
    identity: (u64, u64),
    changed: (i64, i64),
}

impl FolderStamp {
    /// That of this folder.
    pub(in crate::catalog) fn of(folder: &Path) -> io::Result<Self> {
        let found = fs::metadata(folder)?;
        if !found.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { identity: (found.dev(), found.ino()), changed: (found.ctime(), found.ctime_nsec()) })
    }

    /// How long nothing has been added or removed; none where the clock was set back since.
    pub(in crate::catalog) fn age(&self) -> Option<Duration> {
        time(self.changed)?.elapsed().ok()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    name: std::ffi::OsString,
    identity: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// Looks at the files of `folder`, and at one more that its function may depend on.
    pub(in crate::catalog) fn of(folder: &Path, also: Option<&Path>) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Follows links: what counts is what would be read. One that leads nowhere is as good as no file.
            if let Ok(found) = fs::metadata(entry.path()) {
                files.push(File::new(entry.file_name(), &found));
            }
        }
        if let Some(path) = also
            && let Ok(found) = fs::metadata(path)
        {
            files.push(File::new(path.as_os_str().to_owned(), &found));
        }
        files.sort_unstable();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let racy = |file: &File| {
            u128::try_from(file.changed.0).is_ok_and(|at| at + 1 >= (now - RACY).as_secs().into())
        };
        let settled = !files.iter().any(racy);
        let own = fs::metadata(folder).ok().and_then(|found| time((found.ctime(), found.ctime_nsec())));
        let changed = files.iter().filter_map(|file| time(file.changed)).chain(own).max();
        Ok(Self { files, settled, changed })
    }

    /// How long nothing has changed; none where the clock was set back since.
    pub(in crate::catalog) fn age(&self) -> Option<Duration> {
        self.changed?.elapsed().ok()
    }

    /// Whether nothing seems to have changed since `earlier`.
    pub(in crate::catalog) fn is_alike(&self, earlier: &Self) -> bool {
        self.files == earlier.files
    }

    /// Whether nothing has changed since `earlier`, for sure.
    pub(in crate::catalog) fn is_unchanged_since(&self, earlier: &Self) -> bool {
        earlier.settled && self.files == earlier.files
    }
}

impl File {
    fn new(name: std::ffi::OsString, found: &Metadata) -> Self {
        Self {
            name,
            identity: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// A time of a file's metadata.
fn time((seconds, nanos): (i64, i64)) -> Option<SystemTime> {
    let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}
