//! Fingerprints of folders: whether one has changed since its last scan, without reading its files.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::MANIFEST;
use super::assets::{AssetLimits, walk};
use super::stamp::{Stamp, time};

/// The state of a folder's files at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Fingerprint {
    /// Shared, since there may be many.
    files: Arc<[(OsString, Stamp)]>,
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

impl Fingerprint {
    /// Looks at the files of `folder`, those of its assets too, and at one more that its function may depend on.
    pub(in crate::catalog) fn of(
        folder: &Path,
        assets: AssetLimits,
        also: Option<&Path>,
    ) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Follows links: what counts is what would be read. One that leads nowhere is as good as no file.
            if let Ok(found) = fs::metadata(entry.path()) {
                files.push((entry.file_name(), Stamp::of(&found)));
            }
        }
        // What is no function's folder may hold anything.
        if files.iter().any(|(name, _)| name == MANIFEST) {
            // What cannot be deployed is found again when it is deployed.
            let (found, _) = walk(folder, assets, &|_| false);
            files.extend(found.into_iter().map(|found| (found.path.into_os_string(), found.stamp)));
        }
        if let Some(path) = also
            && let Ok(found) = fs::metadata(path)
        {
            files.push((path.as_os_str().to_owned(), Stamp::of(&found)));
        }
        files.sort_unstable();
        let settled = !files.iter().any(|(_, stamp)| stamp.is_racy());
        let own = fs::metadata(folder).ok().and_then(|found| time((found.ctime(), found.ctime_nsec())));
        let changed = files.iter().filter_map(|(_, stamp)| stamp.changed()).chain(own).max();
        Ok(Self { files: files.into(), settled, changed })
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
