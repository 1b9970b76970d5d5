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
        Ok(Self { files, settled })
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
