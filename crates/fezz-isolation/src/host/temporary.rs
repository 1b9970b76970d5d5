//! Temporary folders of child processes: each has one of its own (a worker's `TMPDIR`, a probe's data directory), which is
//! removed with it.
//!
//! They lie in a folder of this process with a random name, `<state>/tmp/<random>`, which it holds locked (flock(2)). So the folders of a
//! process that was killed are known by their lock, which is gone, and not by a process id, which two containers may share;
//! the next process removes them.

use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::geteuid;

use super::remove_tree::remove_tree;

/// How often another name is tried for the folder of this process.
const ATTEMPTS: u32 = 16;

/// Makes the temporary folders of this process's children.
#[derive(Debug)]
pub struct TemporaryFolders {
    parent: PathBuf,
    /// Made with the first folder.
    own: Mutex<Option<Own>>,
}

/// The folder of this process.
#[derive(Debug)]
struct Own {
    folder: PathBuf,
    made: u64,
    /// Locked for as long as it is open.
    _lock: File,
}

/// A child's temporary folder. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct TemporaryFolder(PathBuf);

impl TemporaryFolders {
    /// Folders below `parent`, an absolute path, which is made when the first one is needed.
    #[must_use]
    pub const fn below(parent: PathBuf) -> Self {
        Self { parent, own: Mutex::new(None) }
    }

    /// A new folder, which is empty and this user's alone.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(&self) -> io::Result<TemporaryFolder> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match own.as_mut() {
            Some(own) => own,
            None => own.insert(self.first()?),
        };
        own.made += 1;
        let folder = own.folder.join(own.made.to_string());
        private().create(&folder)?;
        Ok(TemporaryFolder(folder))
    }

    /// Makes this process's folder, and has those of dead processes removed.
    fn first(&self) -> io::Result<Own> {
        private().recursive(true).create(&self.parent)?;
        let owner = fs::metadata(&self.parent)?.uid();
        if owner != geteuid().as_raw() && owner != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "its parent belongs to another user",
            ));
        }
        let own = own_folder(&self.parent)?;
        let parent = self.parent.clone();
        in_background(move || sweep(&parent));
        Ok(own)
    }
}

impl TemporaryFolder {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // Most are empty.
        if fs::remove_dir(&path).is_err() {
            in_background(move || _ = remove_tree(&path));
        }
    }
}

/// What lies in it was written by a function: no other user may read it.
fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// On a thread that may block; without a runtime the host is ending.
fn in_background(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

fn own_folder(parent: &Path) -> io::Result<Own> {
    for _ in 0..ATTEMPTS {
        let random = RandomState::new().build_hasher().finish();
        let folder = parent.join(format!("{random:016x}"));
        match private().create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        // Another process may have seen it before it was locked, and taken it for that of a dead one.
        if let Some(lock) = lock(&folder)? {
            return Ok(Own { folder, made: 0, _lock: lock });
        }
    }
    Err(io::Error::other("another process removes each folder that is made"))
}

/// Locks the folder at this path; none if another process has it locked, or has removed it.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(folder, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        file => File::from(file?),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    let is_there =
        fs::metadata(folder).is_ok_and(|found| file.metadata().is_ok_and(|own| same(&found, &own)));
    Ok(is_there.then_some(file))
}

fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Removes the folders of processes that have ended.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        if let Ok(Some(_lock)) = lock(&path)
            && let Err(error) = remove_tree(&path)
        {
            tracing::debug!(folder = %path.display(), "a temporary folder cannot be removed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_folder_is_private_and_removed_with_its_worker() {
        let state = tempfile::tempdir().unwrap();
        let folders = TemporaryFolders::below(state.path().join("tmp"));
        let (one, two) = (folders.create().unwrap(), folders.create().unwrap());
        assert_ne!(one.path(), two.path());
        assert_eq!(fs::metadata(one.path()).unwrap().mode() & 0o777, 0o700);
        fs::create_dir(one.path().join("sub")).unwrap();
        fs::write(one.path().join("sub/file"), "x").unwrap();
        let paths = [one.path().to_owned(), two.path().to_owned()];
        drop((one, two));
        assert!(paths.iter().all(|path| !path.exists()));
    }

    #[test]
    fn what_a_dead_process_has_left_is_removed_and_what_a_living_one_has_is_not() {
        let state = tempfile::tempdir().unwrap();
        let parent = state.path().join("tmp");
        let alive = TemporaryFolders::below(parent.clone());
        let kept = alive.create().unwrap();
        fs::create_dir_all(parent.join("0123456789abcdef/7/sub")).unwrap();
        assert_eq!(names(&parent).len(), 2);
        let other = TemporaryFolders::below(parent.clone());
        let _folder = other.create().unwrap();
        assert_eq!(names(&parent).len(), 2, "its own and that of the living one");
        assert!(kept.path().exists());
        assert!(!parent.join("0123456789abcdef").exists());
    }
}
