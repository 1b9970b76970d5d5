//! Whether files that a sandbox opens by name have been replaced since a worker's start.
//!
//! Landlock's rules are about files, not names. A new `/etc/hosts` that was renamed over the old one is another file, and
//! closed to workers that run by then. So these are replaced, too.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::sandbox::{Profile, files_by_name};

/// Which files had those names at one time; none for a name that did not exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileIdentities(Vec<Option<(u64, u64)>>);

impl FileIdentities {
    /// Those of now. Costs a system call for each file.
    pub(super) fn now(profile: Profile) -> Self {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        Self(files_by_name(profile).map(|name| fs::metadata(name).ok().map(identity)).collect())
    }
}
