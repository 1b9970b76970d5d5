//! `aliases.json`: the file in the functions folder, and the last valid version of it, which is in force.

use std::io;
use std::path::Path;

use fezz_manifest::{Aliases, Problem, Problems, Version};

use super::deploy::read_dropped;

const FILE: &str = "aliases.json";

/// The file over time.
#[derive(Debug, Default)]
pub(crate) struct AliasFile {
    text: Option<Vec<u8>>,
    in_force: Aliases,
    /// Well-formed, but it names versions that are not there yet.
    waiting: Option<Aliases>,
    last_error: Option<String>,
}

impl AliasFile {
    /// What requests go by.
    pub(crate) const fn in_force(&self) -> &Aliases {
        &self.in_force
    }

    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Reads the file, if there is one.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Vec<u8>>> {
        match read_dropped(folder, FILE) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes in what was read; where it has changed, it waits to be checked.
    pub(crate) fn take(&mut self, text: io::Result<Option<Vec<u8>>>) {
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                return self.fail(&format!("it cannot be read: {error}"));
            }
        };
        if text == self.text {
            return;
        }
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
