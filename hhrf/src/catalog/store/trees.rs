//! Trees of assets: `<state>/store/trees/<digest>/`, all files and folders that belong to an application, read-only. They
//! are hard links to [blobs](super::blobs). A tree is made under another name and renamed when it is whole, so that one in
//! its place is whole, whenever the process or the machine ended.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fezz_isolation::host::remove_tree;
use fezz_runtime::Digest;

use super::listing::{Entry, Listing};
use super::{STAGED_SUFFIX, Store, digests, entries, random_name};
use crate::catalog::ownership;

pub(super) const TREES: &str = "trees";

impl Store {
    /// Makes the tree of this listing, unless it is there; its files have to be in the store.
    ///
    /// # Errors
    /// With `NotFound` where a file is not in the store, or damaged there.
    pub(in crate::catalog) fn tree(&self, listing: &Listing) -> io::Result<PathBuf> {
        let target = self.tree_path(listing.digest());
        if self.is_whole(&target, listing) {
            renew(&target, listing)?;
            return Ok(target);
        }
        let trees = self.root.join(TREES);
        ownership::private_folder(&trees)?;
        if target.exists() {
            // Damaged. Files that are open stay readable; the collector removes the rest.
            fs::rename(&target, trees.join(random_name()))?;
        }
        let staged = StagedTree(trees.join(random_name()));
        self.fill(&staged.0, listing)?;
        renew(&staged.0, listing)?;
        self.sync()?;
        match fs::rename(&staged.0, &target) {
            // Another folder with the same files was deployed at the same time.
            Err(_) if self.is_whole(&target, listing) => renew(&target, listing)?,
            renamed => renamed?,
        }
        // Not all file systems can do that for a folder; those see to it themselves.
        let _ = File::open(&trees).and_then(|trees| trees.sync_all());
        Ok(target)
    }

    pub(in crate::catalog) fn tree_path(&self, digest: Digest) -> PathBuf {
        self.root.join(TREES).join(digest.to_string())
    }

    /// The digests of all trees.
    pub(in crate::catalog) fn trees(&self) -> io::Result<Vec<Digest>> {
        digests(&self.root.join(TREES))
    }

    pub(in crate::catalog) fn remove_tree(&self, digest: Digest) -> io::Result<()> {
        // Under another name first, so that what is left by a process that is killed is no tree.
        let old = self.root.join(TREES).join(random_name());
        fs::rename(self.tree_path(digest), &old)?;
        remove_tree(&old)
    }

    /// Removes what processes that were killed have left behind. Nothing else may use the store.
    pub(in crate::catalog) fn remove_unfinished_trees(&self) -> io::Result<()> {
        for entry in entries(&self.root.join(TREES))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(STAGED_SUFFIX) {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Has everything at the top of the tree be beside a library in `folder` too, where the loader looks for libraries by
    /// `$ORIGIN`.
    pub(in crate::catalog) fn link_tree(&self, folder: &Path, digest: Digest) -> io::Result<()> {
        ownership::private_folder(folder)?;
        for entry in entries(&self.tree_path(digest))? {
            let name = entry?.file_name();
            let target = Path::new("../..").join(TREES).join(digest.to_string()).join(&name);
            let link = folder.join(&name);
            if fs::read_link(&link).is_ok_and(|found| found == target) {
                continue;
            }
            match symlink(&target, &link) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether all of the listing is there, with the right contents.
    fn is_whole(&self, tree: &Path, listing: &Listing) -> bool {
        let private = ownership::private(tree);
        private.is_ok()
            && listing.entries().iter().all(|Entry { path, file, .. }| {
                let path = tree.join(path);
                match file {
                    Some(content) => self.verified.is(&path, content),
                    None => fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()),
                }
            })
    }

    fn fill(&self, tree: &Path, listing: &Listing) -> io::Result<()> {
        let mut folders = BTreeSet::from([tree.to_owned()]);
        ownership::private_folder(tree)?;
        for Entry { path, file, .. } in listing.entries() {
            let path = tree.join(path);
            let folder = if file.is_some() { path.parent().unwrap_or(tree) } else { &path };
            if !folders.contains(folder) {
                ownership::private_folder(folder)?;
                let above = folder.ancestors().take_while(|above| above.starts_with(tree));
                folders.extend(above.map(Path::to_owned));
            }
            if let Some(content) = file {
                if !self.holds_blob(content) {
                    return Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        format!(
                            "`{}` is not in the store",
                            path.strip_prefix(tree).unwrap_or(&path).display()
                        ),
                    ));
                }
                self.link(&self.blob(content), &path)?;
            }
        }
        folders.iter().try_for_each(|folder| fs::set_permissions(folder, Permissions::from_mode(0o500)))
    }

    fn link(&self, blob: &Path, path: &Path) -> io::Result<()> {
        if fs::hard_link(blob, path).is_ok() {
            return Ok(());
        }
        // The file has as many links as it can have, or this file system has none.
        fs::copy(blob, path)?;
        let found = fs::metadata(blob)?;
        File::open(path)?.set_times(FileTimes::new().set_modified(found.modified()?))?;
        self.verified.add(&fs::metadata(path)?);
        Ok(())
    }
}

/// Gives files the modification times of the dropped ones, where those are later. Clients ask for what has changed since: a
/// file that is what it once was, before it was another for a while, has to look new.
fn renew(tree: &Path, listing: &Listing) -> io::Result<()> {
    let now = SystemTime::now();
    for Entry { path, file, modified } in listing.entries() {
        let (Some(_), Some(modified)) = (file, modified) else { continue };
        let path = tree.join(path);
        let modified = (*modified).min(now);
        if fs::symlink_metadata(&path).and_then(|found: Metadata| found.modified())? < modified {
            File::open(&path)?.set_times(FileTimes::new().set_modified(modified))?;
        }
    }
    Ok(())
}

/// A tree that is not whole yet.
struct StagedTree(PathBuf);

impl Drop for StagedTree {
    fn drop(&mut self) {
        if self.0.exists() {
            // The collector removes what cannot be removed now.
            let _ = remove_tree(&self.0);
        }
    }
}
