//! The files that belong to an application: all that is in its folder beside `fezz.json`, the library and `.env`.
//!
//! They are copied to the store under their digests. A file that is as it was at the last deployment is not read again.

mod error;
mod walk;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(crate) use error::AssetsError;
pub(in crate::catalog) use walk::is_ignored;
pub(super) use walk::walk;

use super::stamp::Stamp;
use super::{DeployError, MANIFEST, dropped};
use crate::catalog::store::{Content, Entry, Listing, StagedBlob, Store};
use walk::Found;

/// How large the assets of one function may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AssetLimits {
    /// All files together, in bytes.
    pub(crate) bytes: u64,
    /// Files and folders.
    pub(crate) files: usize,
    /// Folders in one another.
    pub(crate) depth: usize,
}

/// Digests of the files that were read, while these are as they were.
pub(super) type Digests = HashMap<Stamp, Content>;

/// What has been copied, and is not in its place yet.
type Staged = HashMap<Content, StagedBlob>;

/// Copies the assets in `folder` to the store; none where there are no files but those that every function has. `known` are the
/// digests of earlier deployments, and of this one afterwards.
pub(super) fn read(
    folder: &Path,
    library: &str,
    limits: AssetLimits,
    known: &mut Digests,
    store: &Store,
) -> Result<Option<Listing>, DeployError> {
    let is_ours = |name: &OsStr| name == MANIFEST || name == library;
    let (found, problem) = walk(folder, limits, &is_ours);
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    let (mut entries, mut digests, mut staged) = (Vec::new(), Digests::new(), Staged::new());
    for (index, one) in found.iter().enumerate() {
        let Found { path, stamp, is_folder, .. } = one;
        if *is_folder {
            let is_empty = found.get(index + 1).is_none_or(|next| !next.path.starts_with(path));
            if is_empty {
                entries.push(Entry { path: path.clone(), file: None, modified: None });
            }
            continue;
        }
        let content = match known.get(stamp).filter(|content| store.holds_blob(content)) {
            Some(content) => *content,
            None => copy(folder, one, store, &mut staged)?,
        };
        if !stamp.is_racy() {
            digests.insert(*stamp, content);
        }
        entries.push(Entry { path: path.clone(), file: Some(content), modified: one.modified });
    }
    store.admit_blobs(staged.values()).map_err(DeployError::Store)?;
    *known = digests;
    Ok(Some(entries).filter(|entries| !entries.is_empty()).map(Listing::new))
}

/// Copies one file, which is to be as it was found.
fn copy(folder: &Path, found: &Found, store: &Store, staged: &mut Staged) -> Result<Content, DeployError> {
    let copy = |file: &File| {
        let now = file.metadata()?;
        let mut limited = io::Read::take(file, found.stamp.length + 1);
        let executable = now.permissions().mode() & 0o100 != 0;
        let blob = store.stage_blob(&mut limited, executable, now.modified()?)?;
        Ok((Stamp::of(&now), blob))
    };
    let (stamp, blob) = dropped::read_with(folder, found.path.as_os_str(), copy).map_err(|source| {
        // Removed since it was found.
        if source.kind() == io::ErrorKind::NotFound {
            return DeployError::Changing;
        }
        DeployError::Assets(AssetsError::Copy { path: found.path.clone(), source })
    })?;
    if stamp != found.stamp || blob.content.size != stamp.length {
        return Err(DeployError::Changing);
    }
    let content = blob.content;
    // Many files may have the same contents.
    if !store.holds_blob(&content) {
        staged.entry(content).or_insert(blob);
    }
    Ok(content)
}
