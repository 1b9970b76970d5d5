//! Whether other users can write to the state folder. Libraries are loaded from it with the host's rights, so its owner and
//! mode are checked before anything in it is used, as OpenSSH checks a user's keys.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// Only an entry's owner may rename or remove it.
const STICKY: u32 = 0o1000;

/// Makes a folder that only this user may enter, and those above it.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the state folder if it is missing, and checks it: the folders above it, itself, those in it, and those in the
/// store.
///
/// # Errors
/// With `PermissionDenied`, which path another user can write to, and what to do.
pub(super) fn check(state: &Path) -> io::Result<()> {
    private_folder(state)?;
    // The links of the path were followed once; they lie in folders that are not checked.
    let state = fs::canonicalize(state)?;
    for folder in state.ancestors().skip(1) {
        above(folder)?;
    }
    // If it is sticky, as the root of a tmpfs is, others may add to it, but not touch what is there.
    if fs::metadata(&state)?.mode() & STICKY != 0 {
        above(&state)?
    } else {
        private(&state)?
    }
    for folder in folders(&state)? {
        if folder.is_symlink() {
            for folder in fs::canonicalize(&folder)?.ancestors().skip(1) {
                above(folder)?;
            }
        }
        private(&folder)?;
    }
    let store = state.join("store");
    let libraries = if store.exists() { folders(&store)? } else { Vec::new() };
    libraries.iter().try_for_each(|folder| private(folder))
}

/// Whether nobody but this user and root can write to the file or folder.
///
/// # Errors
/// With `PermissionDenied`, why not, and what to do.
pub(super) fn private(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if !is_owner_trusted(&found) {
        return Err(refused(
            path,
            &format!("belongs to the user {}, who could replace libraries in it", found.uid()),
        ));
    }
    if found.mode() & OTHERS_WRITE != 0 || is_group_writable(&found) {
        return Err(refused(
            path,
            &format!("can be written by other users (mode {:04o})", found.mode() & 0o7777),
        ));
    }
    Ok(())
}

/// A folder above the state folder: who can write to it can put another one in its place.
fn above(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if !is_owner_trusted(&found) && Some(found.uid()) != overflow_uid() {
        return Err(refused(
            path,
            &format!("belongs to the user {}, who could replace the state folder", found.uid()),
        ));
    }
    if found.mode() & STICKY != 0 {
        return Ok(());
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(refused(
            path,
            &format!("can be written by all users (mode {:04o})", found.mode() & 0o7777),
        ));
    }
    if is_group_writable(&found) {
        // Volumes of containers are like this, where the group has no other members. That cannot be told from here.
        let (path, group) = (path.display(), found.gid());
        tracing::warn!("`{path}`, above the state folder, can be written by the group {group}");
    }
    Ok(())
}

fn is_owner_trusted(found: &Metadata) -> bool {
    found.uid() == 0 || found.uid() == geteuid().as_raw()
}

/// Whether a group may write that is not just the owner's own: such a group has its owner's number.
fn is_group_writable(found: &Metadata) -> bool {
    found.mode() & GROUP_WRITE != 0 && found.gid() != found.uid() && found.gid() != 0
}

/// The user that stands for all users from outside of this process's user namespace.
fn overflow_uid() -> Option<u32> {
    fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?.trim().parse().ok()
}

fn folders(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

fn refused(path: &Path, why: &str) -> io::Error {
    let path = path.display();
    let remedy =
        format!("make it this user's alone (chown, chmod go-w `{path}`), after a look at what lies there");
    io::Error::new(io::ErrorKind::PermissionDenied, format!("`{path}` {why}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_wherever_it_lies() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("above/state");
        fs::create_dir_all(state.join("store/0123")).unwrap();
        check(&state).unwrap();
        for path in ["above", "above/state", "above/state/store", "above/state/store/0123"] {
            let path = root.path().join(path);
            let before = fs::metadata(&path).unwrap().mode();
            set_mode(&path, 0o777);
            let error = check(&state).unwrap_err();
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            set_mode(&path, before);
            check(&state).unwrap();
        }
        // Behind a link, too.
        let link = root.path().join("link");
        symlink(&state, &link).unwrap();
        set_mode(&state, 0o757);
        check(&link).unwrap_err();
    }

    #[test]
    fn a_folder_for_everybody_is_fine_above_if_it_is_sticky() {
        let root = tempfile::tempdir().unwrap();
        set_mode(root.path(), 0o1777);
        check(&root.path().join("state")).unwrap();
        let made = fs::metadata(root.path().join("state")).unwrap();
        assert_eq!(made.mode() & 0o777, 0o700);
    }
}
