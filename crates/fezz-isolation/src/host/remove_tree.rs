//! Removing a folder that a function has filled.
//!
//! A function may nest folders as deep as it likes, and take the permissions of each. So the tree is not descended: what
//! lies in a folder below the top is moved to the top, until all of it is there. That needs two descriptors and no stack,
//! however deep the tree is.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Removes a folder with all that is in it, following no links. Blocks. Nothing else may be writing to it.
///
/// # Errors
/// If an entry cannot be removed; part of the tree is left then.
pub fn remove_tree(folder: &Path) -> io::Result<()> {
    let top = open(rustix::fs::CWD, folder)?;
    let mut moved = 0;
    loop {
        let mut found = false;
        for entry in Dir::read_from(&top)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_child(name) {
                found = true;
                remove(&top, name, &mut moved)?;
            }
        }
        if !found {
            break;
        }
    }
    std::fs::remove_dir(folder)
}

/// Removes one entry of the top folder; if it is a folder, its folders become entries of the top.
fn remove(top: &OwnedFd, name: &CStr, moved: &mut u64) -> io::Result<()> {
    if !is_folder(unlinkat(top, name, AtFlags::empty()))? {
        return Ok(());
    }
    let folder = open(top, name)?;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let inner = entry.file_name();
        if !is_child(inner) || !is_folder(unlinkat(&folder, inner, AtFlags::empty()))? {
            continue;
        }
        // Moving a folder writes to it, since its `..` changes.
        drop(open(&folder, inner)?);
        loop {
            *moved += 1;
            match renameat(&folder, inner, top, format!(".removed-{moved}")) {
                // Another folder has this name.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                renamed => break renamed?,
            }
        }
    }
    match unlinkat(top, name, AtFlags::REMOVEDIR) {
        // Entries that moving others has hidden from the listing; the next pass over the top finds them.
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        removed => Ok(removed?),
    }
}

fn is_child(name: &CStr) -> bool {
    !matches!(name.to_bytes(), b"." | b"..")
}

/// Whether the entry was not unlinked because it is a folder.
fn is_folder(unlinked: rustix::io::Result<()>) -> io::Result<bool> {
    match unlinked {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        // POSIX has the second.
        Err(Errno::ISDIR | Errno::PERM) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Opens a folder, and takes all permissions for it: the function may have made it without.
fn open(parent: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    {
        let place = openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
        // By the descriptor, so that no link is followed.
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place));
        rustix::fs::chmod(path, Mode::RWXU)?;
        Ok(openat(place, c".", flags, Mode::empty())?)
    }
    #[cfg(not(target_os = "linux"))]
    Ok(openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, DirBuilder, Permissions};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_tree_goes_and_what_its_links_name_stays() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir(tree.join(".removed-1")).unwrap();
        fs::write(tree.join(".removed-1/x"), "x").unwrap();
        fs::write(tree.join("a/b/c/file"), "x").unwrap();
        fs::write(root.path().join("kept"), "x").unwrap();
        symlink(root.path(), tree.join("a/link")).unwrap();
        DirBuilder::new().mode(0o000).create(tree.join("a/closed")).unwrap();
        fs::set_permissions(tree.join("a"), Permissions::from_mode(0o000)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(root.path().join("kept").exists());
    }

    #[test]
    fn a_tree_deeper_than_any_stack_goes() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut at = open(rustix::fs::CWD, &tree).unwrap();
        for _ in 0..20_000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        // With little stack, as a thread of a runtime has.
        let small = std::thread::Builder::new().stack_size(128 << 10);
        let path = tree.clone();
        small.spawn(move || remove_tree(&path)).unwrap().join().unwrap().unwrap();
        assert!(!tree.exists());
    }
}
