//! The store: private copies of libraries that are never rewritten, because a mapped file must not change.
//!
//! `<state>/store/<sha256>/<id>@<version>.so`. A copy lies under its digest, so that new code always has a new path
//! (`dlopen` answers with the old code for a path that it knows), and under the function's name, so that two functions
//! built into one library have statics of their own. A library is in the store only if it passed its probe.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fezz_runtime::Digest;
use sha2::{Digest as _, Sha256};

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

    /// Whether the store holds exactly these bytes at `path`.
    pub(crate) fn holds(path: &Path, data: &[u8]) -> bool {
        let same_length = fs::metadata(path).is_ok_and(|found| found.len() == data.len() as u64);
        same_length && fs::read(path).is_ok_and(|found| found == data)
    }

    /// Writes the bytes beside their target, down to the disk.
    pub(crate) fn stage(target: PathBuf, data: &[u8]) -> io::Result<Staged> {
        let folder = target.parent().unwrap_or(Path::new("."));
        private_folder(folder)?;
        let staged = Staged { path: target.with_extension(format!("{}.new", std::process::id())), target };
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged.path)?;
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

/// Makes a folder that only this user may enter, and those above it.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// SHA-256 of these bytes.
pub(crate) fn digest(data: &[u8]) -> Digest {
    Digest::new(Sha256::digest(data).into())
}
