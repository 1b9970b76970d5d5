//! The program's file, and whether it was replaced.
//!
//! The file is found by the name that the host was started by, which may be a link to a release: it leads to the next
//! release after that has been installed, and the first one removed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, io};

/// Names the program as it was started, in the supervisor's environment: its `argv[0]` is its role.
pub const PROGRAM_VARIABLE: &str = "FEZZ_PROGRAM";
/// The file that this process runs, even after it was removed.
const OWN: &str = "/proc/self/exe";

/// The path by which this process was started, given its `argv[0]`; none where that names another file.
#[must_use]
pub fn as_started(name: &OsStr) -> Option<PathBuf> {
    let own = identity(Path::new(OWN))?;
    let is_own = |path: &PathBuf| identity(path) == Some(own);
    if name.as_bytes().contains(&b'/') {
        return std::path::absolute(name).ok().filter(is_own);
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).filter_map(|folder| std::path::absolute(folder.join(name)).ok()).find(is_own)
}

/// What tells one file from another.
type Identity = (u64, u64, i64, u64);

/// The program that serving processes run.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    running: Option<Identity>,
    /// What was seen last: a file that is still being written changes from one look to the next.
    seen: Option<Identity>,
}

impl Program {
    /// The program by which this process was started.
    pub(super) fn started() -> io::Result<Self> {
        let named = env::var_os(PROGRAM_VARIABLE).and_then(|path| as_started(&path));
        Ok(Self::new(named.map_or_else(env::current_exe, Ok)?))
    }

    /// What always works: the program that this process runs, even after its file was removed.
    pub(super) fn own(&self) -> &Path {
        let own = Path::new(OWN);
        if own.exists() { own } else { &self.path }
    }

    fn new(path: PathBuf) -> Self {
        let running = identity(&path);
        Self { path, running, seen: running }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that the file as it is now has been started.
    pub(super) fn note_start(&mut self) {
        self.running = identity(&self.path).or(self.running);
    }

    /// Whether it is another file since the last time that this was so, and has been for two looks.
    pub(super) fn was_replaced(&mut self) -> bool {
        let now = identity(&self.path);
        let settled = now.is_some() && now == self.seen && now != self.running;
        self.seen = now;
        if settled {
            self.running = now;
        }
        settled
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.mtime_nsec() ^ found.mtime().wrapping_shl(20), found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_noticed_once_and_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hhrf");
        std::fs::write(&path, "old").unwrap();
        let mut program = Program::new(path.clone());
        assert!(!program.was_replaced());
        let replace = |text: &str| {
            std::fs::write(folder.path().join("new"), text).unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
        };
        replace("half");
        assert!(!program.was_replaced());
        replace("whole.");
        assert!(!program.was_replaced());
        assert!(program.was_replaced());
        assert!(!program.was_replaced());
        std::fs::remove_file(&path).unwrap();
        assert!(!program.was_replaced() && !program.was_replaced());
    }
}
