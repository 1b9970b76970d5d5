//! Finding the files that belong to an application, without reading them.
//!
//! Hidden names are passed over (but `.well-known`, which the web needs), and so are the temporary files of editors. Symbolic
//! links are followed within the folder: what they lead to is deployed under the link's name.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::dropped;
use super::super::stamp::Stamp;
use super::{AssetLimits, AssetsError};

/// A file or folder.
#[derive(Clone, Debug)]
pub(in crate::catalog::deploy) struct Found {
    /// Relative to the function's folder.
    pub(in crate::catalog::deploy) path: PathBuf,
    pub(in crate::catalog::deploy) stamp: Stamp,
    pub(in crate::catalog::deploy) is_folder: bool,
    pub(in crate::catalog::deploy) modified: Option<SystemTime>,
}

/// The files at the top that are not assets: `fezz.json` and the library.
const OURS: usize = 2;

/// All files and folders in `folder`, each folder followed by what is in it; without those that `skip` names at its top. Also
/// the first of what cannot be deployed; where that is a limit, the rest is not looked at.
pub(in crate::catalog::deploy) fn walk(
    folder: &Path,
    limits: AssetLimits,
    skip: &dyn Fn(&OsStr) -> bool,
) -> (Vec<Found>, Option<AssetsError>) {
    let mut walk = Walk { folder, limits, found: Vec::new(), bytes: 0, above: Vec::new(), problem: None };
    // It ends early where a limit is reached, and has that as its problem then.
    let _ = walk.enter(Path::new(""), skip);
    (walk.found, walk.problem)
}

/// Whether a name is passed over.
pub(in crate::catalog) fn is_ignored(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_hidden = name.starts_with(b".") && name != b".well-known";
    is_hidden
        || name.ends_with(b"~")
        || (name.starts_with(b"#") && name.ends_with(b"#"))
        || name.ends_with(b"___jb_tmp___")
        || name.ends_with(b"___jb_old___")
}

struct Walk<'w> {
    folder: &'w Path,
    limits: AssetLimits,
    found: Vec<Found>,
    bytes: u64,
    /// The folders that the present one is in, by device and inode.
    above: Vec<(u64, u64)>,
    problem: Option<AssetsError>,
}

impl Walk<'_> {
    fn enter(&mut self, path: &Path, skip: &dyn Fn(&OsStr) -> bool) -> ControlFlow<()> {
        let names = match names(&self.folder.join(path), self.limits.files) {
            Ok(names) => names,
            // Removed since it was found.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return ControlFlow::Continue(()),
            Err(source) => {
                self.note(AssetsError::ReadFolder { path: path.to_owned(), source });
                return ControlFlow::Continue(());
            }
        };
        for (name, kind) in names {
            if !skip(&name) {
                self.entry(path.join(name), kind)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn entry(&mut self, path: PathBuf, kind: FileType) -> ControlFlow<()> {
        let found = match self.metadata(&path, kind) {
            Ok(Some(found)) => found,
            Ok(None) => return ControlFlow::Continue(()),
            Err(problem) => {
                self.note(problem);
                return ControlFlow::Continue(());
            }
        };
        if !found.is_dir() && !found.is_file() {
            self.note(AssetsError::NotAFile { path, what: what(found.file_type()) });
            return ControlFlow::Continue(());
        }
        if self.found.len() >= self.limits.files {
            return self.stop(AssetsError::TooMany(self.limits));
        }
        self.found.push(Found {
            path: path.clone(),
            stamp: Stamp::of(&found),
            is_folder: found.is_dir(),
            modified: found.modified().ok(),
        });
        if found.is_file() {
            self.bytes = self.bytes.saturating_add(found.len());
            return if self.bytes > self.limits.bytes {
                self.stop(AssetsError::TooLarge(self.limits))
            } else {
                ControlFlow::Continue(())
            };
        }
        self.below(&path, &found)
    }

    fn below(&mut self, path: &Path, found: &Metadata) -> ControlFlow<()> {
        let identity = (found.dev(), found.ino());
        let is_top = fs::metadata(self.folder).is_ok_and(|top| (top.dev(), top.ino()) == identity);
        if is_top || self.above.contains(&identity) {
            self.note(AssetsError::LinkLoop(path.to_owned()));
            return ControlFlow::Continue(());
        }
        if self.above.len() >= self.limits.depth {
            return self.stop(AssetsError::TooDeep { path: path.to_owned(), limits: self.limits });
        }
        self.above.push(identity);
        let entered = self.enter(path, &|_| false);
        self.above.pop();
        entered
    }

    /// What is at this path, by a link too; none where it was removed.
    fn metadata(&self, path: &Path, kind: FileType) -> Result<Option<Metadata>, AssetsError> {
        let copy = |source| AssetsError::Copy { path: path.to_owned(), source };
        if !kind.is_symlink() {
            return match fs::symlink_metadata(self.folder.join(path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                found => found.map(Some).map_err(copy),
            };
        }
        let target = dropped::locate(self.folder, path).map(File::from);
        target.and_then(|target| target.metadata()).map(Some).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::NotFound => AssetsError::LinkToNothing(path),
                _ if dropped::leads_out(&source) => AssetsError::LinkOut(path),
                _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                    AssetsError::LinkLoop(path)
                }
                _ => copy(source),
            }
        })
    }

    fn note(&mut self, problem: AssetsError) {
        self.problem.get_or_insert(problem);
    }

    fn stop(&mut self, problem: AssetsError) -> ControlFlow<()> {
        self.problem = Some(problem);
        ControlFlow::Break(())
    }
}

/// The names in a folder, in order. Of more than may be deployed, only some: that is found out later.
fn names(folder: &Path, limit: usize) -> io::Result<Vec<(OsString, FileType)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_ignored(&name) {
            names.push((name, entry.file_type()?));
        }
        if names.len() > limit + OURS {
            break;
        }
    }
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(names)
}

fn what(kind: FileType) -> &'static str {
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a pipe"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests;
