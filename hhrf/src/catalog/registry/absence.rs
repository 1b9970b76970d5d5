//! How long something has been gone from the functions folder: `rm -r` followed by `cp -r` replaces a folder, and ends
//! nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Registry;
use super::state::State;
use crate::catalog::deploy::FolderStamp;
use crate::catalog::folder_file::Text;

/// A folder that is gone is undeployed after this many settle times.
const GRACE_SETTLES: u32 = 5;
/// The same where other folders come and go all the time.
const LONGEST_SETTLES: u32 = 50;

/// Something that was not there each time since it was first missed.
#[derive(Clone, Debug)]
pub(super) struct Absence {
    missed: Instant,
    /// Since when nothing has come or gone in the functions folder: what is missing has not been there in between.
    quiet: Instant,
    stamp: FolderStamp,
}

impl Absence {
    /// It is missing for the first time.
    pub(super) const fn begin(now: Instant, stamp: FolderStamp) -> Self {
        Self { missed: now, quiet: now, stamp }
    }

    /// It is missing still; whether it is gone for good.
    pub(super) fn is_final(&mut self, now: Instant, stamp: FolderStamp, settle: Duration) -> bool {
        if self.stamp != stamp {
            self.quiet = now;
            self.stamp = stamp;
        }
        now.duration_since(self.quiet) >= settle * GRACE_SETTLES
            || now.duration_since(self.missed) >= settle * LONGEST_SETTLES
    }
}

impl Registry {
    /// What was read of a file beside the folders; none where the file is missing, and may be only being replaced.
    pub(super) fn missing_for_good(
        &self,
        state: &mut State,
        file: &'static str,
        had_none: bool,
        text: Text,
    ) -> Option<Text> {
        if !matches!(text, Ok(None)) || had_none {
            state.file_absences.remove(file);
            return Some(text);
        }
        let stamp = match self.deployer.stamp() {
            Ok(stamp) => stamp,
            Err(error) => return Some(Err(error)),
        };
        let now = Instant::now();
        let is_first = !self.begun.load(Ordering::Acquire);
        let is_final = match state.file_absences.get_mut(file) {
            Some(absence) => absence.is_final(now, stamp, self.settle),
            None if is_first && is_old_news(&stamp, self.settle) => true,
            None => {
                state.file_absences.insert(file, Absence::begin(now, stamp));
                false
            }
        };
        if is_final {
            state.file_absences.remove(file);
            return Some(text);
        }
        state.due.insert(file.to_owned(), now + self.settle);
        None
    }
}

/// Whether nothing has come or gone for so long that what is missing now was removed before this process began.
pub(super) fn is_old_news(stamp: &FolderStamp, settle: Duration) -> bool {
    stamp.age().is_some_and(|age| age >= settle * GRACE_SETTLES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_and_goes_is_not_gone() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = || FolderStamp::of(folder.path()).unwrap();
        let settle = Duration::from_millis(100);
        let mut absence = Absence::begin(Instant::now(), stamp());
        for round in 0..8 {
            tokio::time::advance(settle * 4).await;
            // The stamp moves with the kernel's tick, which is not paused.
            let before = stamp();
            while stamp() == before {
                std::fs::write(folder.path().join(round.to_string()), "").unwrap();
                std::fs::remove_file(folder.path().join(round.to_string())).unwrap();
            }
            assert!(!absence.is_final(Instant::now(), stamp(), settle), "{round}");
        }
        tokio::time::advance(settle * GRACE_SETTLES).await;
        assert!(absence.is_final(Instant::now(), stamp(), settle));
    }
}
