//! A file beside the functions' folders, `aliases.json` or `mounts.json`, and its last valid state, which is in force.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use fezz_manifest::{Aliases, Mounts, Problem, Problems};

use super::deploy::{FolderStamp, read_dropped};

/// The names of all such files.
pub(super) const FILES: [&str; 2] = [Aliases::FILE, Mounts::FILE];

/// What such a file says.
pub(super) trait Content: Clone + Debug + Default {
    /// Its name.
    const FILE: &'static str;

    fn parse(text: &[u8]) -> Result<Self, Problems>;

    /// Whether it says no more than a file that is not there.
    fn is_empty(&self) -> bool;
}

impl Content for Aliases {
    const FILE: &'static str = "aliases.json";

    fn parse(text: &[u8]) -> Result<Self, Problems> {
        Self::parse(text)
    }

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Content for Mounts {
    const FILE: &'static str = "mounts.json";

    fn parse(text: &[u8]) -> Result<Self, Problems> {
        Self::parse(text)
    }

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// What was read of such a file; none where there is none.
pub(super) type Text = io::Result<Option<Vec<u8>>>;

/// Reads such a file, if there is one.
///
/// # Errors
/// Those of reading, and where the functions folder itself is missing.
pub(super) fn read(folder: &Path, file: &str) -> Text {
    match read_dropped(folder, file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => FolderStamp::of(folder).map(|_| None),
        Err(error) => Err(error),
    }
}

/// The file as it is now.
#[derive(Clone, Debug)]
pub(crate) struct FileStatus<T> {
    /// What is in force.
    pub(crate) content: T,
    /// Why the file as it is now is not, if it is not.
    pub(crate) error: Option<String>,
}

/// The file over time.
#[derive(Debug, Default)]
pub(super) struct FolderFile<T> {
    text: Option<Vec<u8>>,
    /// Whether `text` is what the file had when it was looked at last.
    is_read: bool,
    in_force: T,
    in_force_text: Option<Vec<u8>>,
    /// Well-formed, but it names functions that are not there yet.
    waiting: Option<T>,
    last_error: Option<String>,
}

impl<T: Content> FolderFile<T> {
    /// With this text in force, which an earlier process has left.
    pub(super) fn after(text: io::Result<Option<Vec<u8>>>) -> Self {
        let file = T::FILE;
        let text = text.unwrap_or_else(|error| {
            tracing::error!(file, "its last good state cannot be read: {error}");
            None
        });
        let parsed = text.as_deref().map(T::parse).transpose();
        let in_force = parsed.unwrap_or_else(|problems| {
            tracing::error!(file, "its last good state is none: {problems}");
            None
        });
        Self { in_force: in_force.unwrap_or_default(), in_force_text: text, ..Self::default() }
    }

    /// What requests go by.
    pub(super) const fn in_force(&self) -> &T {
        &self.in_force
    }

    /// The same as text; none where there is no file.
    pub(super) fn text(&self) -> Option<&[u8]> {
        self.in_force_text.as_deref()
    }

    /// For an operator to see.
    pub(super) fn status(&self) -> FileStatus<T> {
        FileStatus { content: self.in_force.clone(), error: self.last_error.clone() }
    }

    /// Takes in what was read; where it has changed, it waits to be checked.
    pub(super) fn take(&mut self, text: Text) {
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                self.is_read = false;
                return self.fail(&format!("it cannot be read: {error}"));
            }
        };
        let is_nothing = text.is_none() && self.in_force_text.is_none() && self.last_error.is_none();
        if (self.is_read && text == self.text) || is_nothing {
            return;
        }
        self.is_read = true;
        let parsed = text.as_deref().map_or_else(|| Ok(T::default()), T::parse);
        self.text = text;
        match parsed {
            Ok(content) => self.waiting = Some(content),
            Err(problems) => {
                self.waiting = None;
                self.fail(&problems.to_string());
            }
        }
    }

    /// Puts what is waiting into force, if all that it names exists; whether that was so.
    pub(super) fn check(&mut self, problems: impl FnOnce(&T) -> Vec<Problem>) -> bool {
        let Some(content) = self.waiting.take() else { return false };
        match Problems::check(problems(&content)) {
            Ok(()) => {
                tracing::info!("{} is in force", T::FILE);
                self.in_force = content;
                self.in_force_text.clone_from(&self.text);
                self.last_error = None;
                true
            }
            Err(problems) => {
                self.fail(&problems.to_string());
                self.waiting = Some(content);
                false
            }
        }
    }

    /// Says it once, and keeps what was in force.
    fn fail(&mut self, message: &str) {
        if self.last_error.as_deref() != Some(message) {
            tracing::error!(file = T::FILE, "not in force, its previous state stays: {message}");
            self.last_error = Some(message.to_owned());
        }
    }
}
