//! The contents of assets, each once: `<state>/store/blobs/<sha256>`, and `<sha256>.x` for those that are executable. Trees
//! are hard links to them, so that a change in one file of a large folder copies that file alone.

use std::collections::HashSet;
use std::fs::{self, File, FileTimes, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use fezz_runtime::Digest;
use sha2::{Digest as _, Sha256};

use super::listing::Content;
use super::{STAGED_SUFFIX, Store, random_name};
use crate::catalog::ownership;

const BLOBS: &str = "blobs";
/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// Files whose contents have been compared with their digests in this process, by device and inode.
#[derive(Clone, Debug, Default)]
pub(super) struct Verified(Arc<Mutex<HashSet<(u64, u64)>>>);

/// A blob that is not on the disk for sure, and not in its place.
#[derive(Debug)]
pub(in crate::catalog) struct StagedBlob {
    path: PathBuf,
    target: PathBuf,
    pub(in crate::catalog) content: Content,
}

impl Store {
    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join(BLOBS)
    }

    pub(super) fn blob(&self, content: &Content) -> PathBuf {
        let suffix = if content.executable { ".x" } else { "" };
        self.blobs().join(format!("{}{suffix}", content.digest))
    }

    /// Whether these contents are in the store.
    pub(in crate::catalog) fn holds_blob(&self, content: &Content) -> bool {
        self.verified.is(&self.blob(content), content)
    }

    pub(in crate::catalog) fn contents(&self, content: &Content) -> io::Result<Vec<u8>> {
        fs::read(self.blob(content))
    }

    /// Copies what `source` has, for [`admit_blobs`](Self::admit_blobs).
    pub(in crate::catalog) fn stage_blob(
        &self,
        source: &mut impl Read,
        executable: bool,
        modified: SystemTime,
    ) -> io::Result<StagedBlob> {
        ownership::private_folder(&self.blobs())?;
        let path = self.blobs().join(random_name());
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let content = Content { digest: Digest::new([0; 32]), size: 0, executable };
        let mut staged = StagedBlob { target: path.clone(), path, content };
        let size = &mut staged.content.size;
        staged.content.digest = digest_of(source, |chunk| {
            *size += chunk.len() as u64;
            file.write_all(chunk)
        })?;
        staged.target = self.blob(&staged.content);
        file.set_times(FileTimes::new().set_modified(modified))?;
        file.set_permissions(Permissions::from_mode(if executable { 0o500 } else { 0o400 }))?;
        self.verified.add(&file.metadata()?);
        Ok(staged)
    }

    /// Puts blobs in their places, when all of them are on the disk.
    pub(in crate::catalog) fn admit_blobs<'b>(
        &self,
        staged: impl ExactSizeIterator<Item = &'b StagedBlob>,
    ) -> io::Result<()> {
        if staged.len() == 0 {
            return Ok(());
        }
        self.sync()?;
        staged.into_iter().try_for_each(|blob| fs::rename(&blob.path, &blob.target))
    }

    /// Waits until all that was written to the store's disk is there. Many files are sooner there at once than one by one.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(File::open(&self.root)?)?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::sync();
        Ok(())
    }

    /// Removes blobs that no tree is linked to, and what was left behind; answers with their number. Nothing else may use
    /// the store.
    pub(in crate::catalog) fn remove_unused_blobs(&self) -> io::Result<usize> {
        let mut removed = 0;
        for entry in super::entries(&self.blobs())? {
            let entry = entry?;
            let is_staged = entry.file_name().to_string_lossy().ends_with(STAGED_SUFFIX);
            if is_staged || entry.metadata()?.nlink() == 1 {
                fs::remove_file(entry.path())?;
                removed += usize::from(!is_staged);
            }
        }
        Ok(removed)
    }
}

impl Drop for StagedBlob {
    fn drop(&mut self) {
        // Gone already where it was admitted.
        let _ = fs::remove_file(&self.path);
    }
}

impl Verified {
    /// Whether the file at `path` has these contents, and nobody else can change it. It is read once.
    pub(super) fn is(&self, path: &Path, content: &Content) -> bool {
        let Ok(found) = fs::symlink_metadata(path) else { return false };
        if !found.is_file() || found.len() != content.size || ownership::private(path).is_err() {
            return false;
        }
        if self.lock().contains(&identity(&found)) {
            return true;
        }
        let digest = File::open(path).and_then(|mut file| digest_of(&mut file, |_| Ok(())));
        let is_whole = digest.is_ok_and(|digest| digest == content.digest);
        if is_whole {
            self.add(&found);
        }
        is_whole
    }

    pub(super) fn add(&self, found: &Metadata) {
        self.lock().insert(identity(found));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<(u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// The digest of all that `source` has, which is also given to `each`, in pieces.
fn digest_of(source: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Digest> {
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return Ok(Digest::new(hash.finalize().into())),
            Ok(read) => {
                hash.update(&chunk[..read]);
                each(&chunk[..read])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
