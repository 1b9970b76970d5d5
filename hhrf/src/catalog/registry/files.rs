//! The files beside the folders, `aliases.json` and `mounts.json`: when they are taken in, and what is kept of them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fezz_manifest::{Aliases, Mounts};
use tokio::time::Instant;

use super::Registry;
use super::state::State;
use crate::catalog::folder_file::{self, Content, FileStatus, FolderFile, Text};

/// When a file beside the folders is read again after it could not be.
const FILE_RETRY: Duration = Duration::from_secs(1);

/// What was read of the files beside the folders.
pub(super) struct Texts {
    /// Counts the reads, in the order in which they began.
    number: u64,
    aliases: Text,
    mounts: Text,
}

impl Texts {
    pub(super) fn read(folder: &Path, reads: &AtomicU64) -> Self {
        let number = reads.fetch_add(1, Ordering::AcqRel) + 1;
        let read = |file| folder_file::read(folder, file);
        Self { number, aliases: read(Aliases::FILE), mounts: read(Mounts::FILE) }
    }
}

impl Registry {
    /// The aliases, for an operator to see.
    pub(crate) fn aliases(&self) -> FileStatus<Aliases> {
        self.lock().aliases.status()
    }

    /// The mounts, for an operator to see.
    pub(crate) fn mounts(&self) -> FileStatus<Mounts> {
        self.lock().mounts.status()
    }

    /// The names of the functions that a name means now: several, if it is an alias that splits.
    pub(crate) fn behind(&self, name: &str) -> Vec<String> {
        self.catalog.load().behind(name).iter().map(|function| function.name().to_owned()).collect()
    }

    /// Takes in what was read of them; whether the catalog has to change.
    pub(super) fn take_texts(&self, state: &mut State, Texts { number, aliases, mounts }: Texts) -> bool {
        if number < state.texts_taken {
            // A scan that began later has ended already: what it has read is newer.
            return false;
        }
        state.texts_taken = number;
        self.take_text(state, |state| &mut state.aliases, aliases);
        self.take_text(state, |state| &mut state.mounts, mounts);
        // Also when only functions came: a file may have been waiting for one of them.
        let (new_aliases, new_mounts) = (state.check_aliases(), state.check_mounts());
        if new_aliases {
            self.keep(&state.aliases);
        }
        if new_mounts {
            self.keep(&state.mounts);
        }
        new_aliases || new_mounts
    }

    fn take_text<T: Content>(
        &self,
        state: &mut State,
        file: impl Fn(&mut State) -> &mut FolderFile<T>,
        text: Text,
    ) {
        if text.is_err() {
            state.due.insert(T::FILE.to_owned(), Instant::now() + FILE_RETRY);
        }
        let had_none = file(state).in_force().is_empty();
        if let Some(text) = self.missing_for_good(state, T::FILE, had_none, text) {
            file(state).take(text);
        }
    }

    /// Has what is in force outlive this process. Before it is published: a crash right after must find it.
    fn keep<T: Content>(&self, file: &FolderFile<T>) {
        if let Err(error) = self.last_good.keep_file(T::FILE, file.text()) {
            tracing::warn!(file = T::FILE, "it cannot be kept for later starts: {error}");
        }
    }
}
