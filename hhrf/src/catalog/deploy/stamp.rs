//! What of a file's metadata changes when it is written or replaced.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// A file that was touched this recently may be touched again without its times showing it, since they move in the
/// kernel's ticks, or in seconds. (git calls such an entry racily clean.)
const RACY: Duration = Duration::from_secs(2);

/// A file's identity, size, times and permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Stamp {
    identity: (u64, u64),
    pub(super) length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    mode: u32,
}

impl Stamp {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            identity: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            mode: found.mode(),
        }
    }

    /// When its contents or its metadata changed last.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        time(self.changed)
    }

    /// How long ago that was; none where it is in the future, which says that the clock was set back, and nothing about the
    /// file.
    pub(super) fn age(&self) -> Option<Duration> {
        self.changed()?.elapsed().ok()
    }

    /// Whether it may change without this stamp showing it.
    pub(super) fn is_racy(&self) -> bool {
        self.age().is_none_or(|age| age < RACY)
    }

    /// Whether it changed at least this long ago.
    pub(super) fn is_older_than(&self, least: Duration) -> bool {
        self.age().is_none_or(|age| age >= least)
    }
}

/// A time of a file's metadata.
pub(super) fn time((seconds, nanos): (i64, i64)) -> Option<SystemTime> {
    let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}
