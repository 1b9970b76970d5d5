//! Files that are either the old or the new one, whatever happens to the process or the machine while they are replaced.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file, which only this user may read, by one with these bytes; its folder has to exist. When this returns,
/// the new file is on the disk.
///
/// # Errors
/// Those of writing; the old file is still there then.
pub(crate) fn replace(path: &Path, data: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("{:016x}.new", RandomState::new().hash_one(0)));
    let written = write(&new, data).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // There may be none.
        let _ = fs::remove_file(&new);
    }
    written?;
    // Not all file systems can do that for a folder; those see to it themselves.
    let _ = File::open(path.parent().unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    Ok(())
}

fn write(path: &Path, data: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(data)?;
    file.sync_all()
}

/// Reads a file; none where it is not there.
///
/// # Errors
/// Those of reading, beside its absence.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// Those of removing, beside its absence.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
