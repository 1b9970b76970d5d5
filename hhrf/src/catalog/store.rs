//! The private store: copies of libraries that nobody rewrites, because what is mapped must not change.
//!
//! `<state>/store/<sha256>/<id>@<version>.so`. A copy lies under its digest, so that new code always has a new path
//! (`dlopen` answers with the old code for a path that it knows), and under the function's name, so that two functions
//! built into one library have statics of their own. A library is in the store only if it passed its probe.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};

use super::Digest;

/// Larger files are not read into memory.
const MAX_FILE_BYTES: u64 = 1 << 30;

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
        DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        // A relative path would be searched for in the loader's own way, and break with the working directory.
        Ok(Self { root: fs::canonicalize(root)? })
    }

    /// Where the copy of this library for this function lies, or would lie.
    pub(crate) fn path(&self, digest: Digest, name: &str) -> PathBuf {
        let file = format!("{name}{}", std::env::consts::DLL_SUFFIX);
        self.root.join(digest.to_string()).join(file)
    }

    /// Whether the store holds exactly these bytes at `path`.
    pub(crate) fn holds(path: &Path, data: &[u8]) -> bool {
        let same_length = fs::metadata(path).is_ok_and(|found| found.len() == data.len() as u64);
        same_length && fs::read(path).is_ok_and(|found| found == data)
    }

    /// Writes the bytes beside their target, down to the disk.
    pub(crate) fn stage(target: PathBuf, data: &[u8]) -> io::Result<Staged> {
        let folder = target.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
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

/// SHA-256 of these bytes.
pub(crate) fn digest(data: &[u8]) -> Digest {
    Digest(Sha256::digest(data).into())
}

/// Reads a file of a function's folder, once and through one descriptor: what is checked is what is used.
///
/// Links may lead about within the folder, but not out of it.
pub(crate) fn read_beneath(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    let file = File::from(open_beneath(folder, name)?);
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
