//! `aliases.json`: the file in the functions folder, and the last valid version of it, which is in force.

use std::io;
use std::path::Path;

use fezz_manifest::{Aliases, Problem, Problems, Version};

use super::deploy::{FolderStamp, read_dropped};

pub(super) const FILE: &str = "aliases.json";

/// The file over time.
#[derive(Debug, Default)]
pub(crate) struct AliasFile {
    text: Option<Vec<u8>>,
    /// Whether `text` is what the file had when it was looked at last.
    is_read: bool,
    in_force: Aliases,
    in_force_text: Option<Vec<u8>>,
    /// Well-formed, but it names versions that are not there yet.
    waiting: Option<Aliases>,
    last_error: Option<String>,
}

impl AliasFile {
    /// With the aliases of this text in force, which an earlier process has left.
    pub(super) fn after(text: Option<Vec<u8>>) -> Self {
        let parsed = text.as_deref().map(Aliases::parse).transpose();
        let in_force = parsed.unwrap_or_else(|problems| {
            tracing::error!(file = FILE, "the last good aliases are none: {problems}");
            None
        });
        Self { in_force: in_force.unwrap_or_default(), in_force_text: text, ..Self::default() }
    }

    /// What requests go by.
    pub(crate) const fn in_force(&self) -> &Aliases {
        &self.in_force
    }

    /// The same as text; none where there is no file.
    pub(super) fn text(&self) -> Option<&[u8]> {
        self.in_force_text.as_deref()
    }

    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// Those of reading, and where the functions folder itself is missing.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Vec<u8>>> {
        match read_dropped(folder, FILE) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => FolderStamp::of(folder).map(|_| None),
            Err(error) => Err(error),
        }
    }

    /// Takes in what was read; where it has changed, it waits to be checked.
    pub(crate) fn take(&mut self, text: io::Result<Option<Vec<u8>>>) {
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
        // No file: no aliases.
        let parsed = text.as_deref().map_or_else(|| Ok(Aliases::default()), Aliases::parse);
        self.text = text;
        match parsed {
            Ok(aliases) => self.waiting = Some(aliases),
            Err(problems) => {
                self.waiting = None;
                self.fail(&problems.to_string());
            }
        }
    }

    /// Puts what is waiting into force, if all of its versions exist; whether that was so.
    pub(crate) fn check(&mut self, exists: impl Fn(&str, &Version) -> bool) -> bool {
        let Some(aliases) = self.waiting.take() else { return false };
        let problems: Vec<Problem> = aliases.check(exists);
        match Problems::check(problems) {
            Ok(()) => {
                tracing::info!("{FILE} is in force");
                self.in_force = aliases;
                self.in_force_text.clone_from(&self.text);
                self.last_error = None;
                true
            }
            Err(problems) => {
                self.fail(&problems.to_string());
                self.waiting = Some(aliases);
                false
            }
        }
    }

    /// Says it once, and keeps the previous split.
    fn fail(&mut self, message: &str) {
        if self.last_error.as_deref() != Some(message) {
            tracing::error!(file = FILE, "not in force, the previous split stays: {message}");
            self.last_error = Some(message.to_owned());
        }
    }
}
