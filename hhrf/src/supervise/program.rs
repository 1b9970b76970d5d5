//! The program's file, and whether it was replaced.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    pub(super) fn new(path: PathBuf) -> Self {
        let running = identity(&path);
        Self { path, running, seen: running }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
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
