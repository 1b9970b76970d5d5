//! The store: private copies of libraries that are never rewritten, because a mapped file must not change.
//!
//! `<state>/store/<sha256>/<id>@<version>.so`. A copy lies under its digest, so that new code always has a new path
//! (`dlopen` answers with the old code for a path that it knows), and under the function's name, so that two functions
//! built into one library have statics of their own. A library is in the store only if it passed its probe.

use std::fs::{self, DirBuilder, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fezz_runtime::Digest;
use sha2::{Digest as _, Sha256};

use super::ownership;
use crate::function::FunctionKey;

/// The store's folder.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

/// A library that has been copied but not yet admitted.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    target: PathBuf,
}

impl Store {
    /// Opens the store below `state`, which only this user may read.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let root = state.join("store");
        private_folder(&root)?;
        sweep(&root);
        // A relative path would be searched for in the loader's own way, and break with the working directory.
        Ok(Self { root: fs::canonicalize(root)? })
    }

    /// Where the copy of this library for this function lies, or would lie. Other settings are another copy, since
    /// they are read into statics that a library keeps for good.
    pub(crate) fn path(&self, key: &FunctionKey) -> PathBuf {
        let settings = if key.settings == 0 { String::new() } else { format!("+{:016x}", key.settings) };
        let file = format!("{}{settings}{}", key.name, std::env::consts::DLL_SUFFIX);
        self.root.join(key.digest.to_string()).join(file)
    }

    /// Whether the store holds exactly these bytes at `path`, and nobody else can change them.
    pub(crate) fn holds(path: &Path, data: &[u8]) -> bool {
        let same_length = fs::metadata(path).is_ok_and(|found| found.len() == data.len() as u64);
        same_length && ownership::private(path).is_ok() && fs::read(path).is_ok_and(|found| found == data)
    }

    /// Writes the bytes beside their target, down to the disk.
    pub(crate) fn stage(target: PathBuf, data: &[u8]) -> io::Result<Staged> {
        let folder = target.parent().unwrap_or(Path::new("."));
        private_folder(folder)?;
        ownership::private(folder)?;
        // Not the process id: hosts in two containers may have the same.
        let random = RandomState::new().build_hasher().finish();
        let path = target.with_extension(format!("{random:016x}{STAGED_SUFFIX}"));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let staged = Staged { path, target };
        file.write_all(data)?;
        file.set_permissions(Permissions::from_mode(0o400))?;
        file.sync_all()?;
        Ok(staged)
    }
}

impl Staged {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the copy in its place.
    pub(crate) fn admit(self) -> io::Result<PathBuf> {
        fs::rename(&self.path, &self.target)?;
        Ok(self.target.clone())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already where it was admitted.
        let _ = fs::remove_file(&self.path);
    }
}

/// What the names of staged libraries end with.
const STAGED_SUFFIX: &str = ".new";
/// A probe takes at most an hour, so that a staged library of this age was left by a host that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(2 * 3_600);

/// Removes staged libraries that were left behind. What cannot be removed is only in the way of tidiness.
fn sweep(root: &Path) {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    for file in entries(root).flat_map(|folder| entries(&folder.path())) {
        let is_staged = file.file_name().to_string_lossy().ends_with(STAGED_SUFFIX);
        let age =
            file.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
        if is_staged && age.is_some_and(|age| age > LEFT_BEHIND) {
            let _ = fs::remove_file(file.path());
        }
    }
}

/// Makes a folder that only this user may enter, and those above it.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// SHA-256 of these bytes.
pub(crate) fn digest(data: &[u8]) -> Digest {
    Digest::new(Sha256::digest(data).into())
}
