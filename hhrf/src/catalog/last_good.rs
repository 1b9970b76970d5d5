//! The last good aliases, mounts, secrets and settings, in `<state>/last-good/`: what a process goes by that starts where the
//! present ones are bad.
//!
//! A function's secrets are here and not in its history, because a rollback brings back what was deployed, and never a
//! secret that has been changed since.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{durable, ownership};

const SETTINGS: &str = "settings.toml";

/// The folder of these files.
#[derive(Clone, Debug)]
pub(crate) struct LastGood {
    folder: PathBuf,
}

impl LastGood {
    /// Those in this state folder. Nothing is made on disk before something is kept.
    pub(crate) fn of(state: &Path) -> Self {
        Self { folder: state.join("last-good") }
    }

    /// The secrets with which the function was deployed last.
    pub(super) fn secrets(&self, name: &str) -> io::Result<BTreeMap<String, String>> {
        let text = durable::read(&self.secrets_file(name))?;
        Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?.unwrap_or_default())
    }

    /// Keeps the secrets with which the function is deployed.
    pub(super) fn keep_secrets(&self, name: &str, secrets: &BTreeMap<String, String>) -> io::Result<()> {
        let file = self.secrets_file(name);
        if secrets.is_empty() {
            return durable::remove(&file);
        }
        keep(&file, &serde_json::to_vec(secrets)?)
    }

    /// The text of a file beside the functions' folders, such as `aliases.json`, that was in force last.
    pub(super) fn file(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        durable::read(&self.folder.join(name))
    }

    /// Keeps the text of such a file that is in force; none where there is no such file.
    pub(super) fn keep_file(&self, name: &str, text: Option<&[u8]>) -> io::Result<()> {
        let file = self.folder.join(name);
        text.map_or_else(|| durable::remove(&file), |text| keep(&file, text))
    }

    /// The text of the settings file that was served with last; none where nothing was ever served.
    pub(crate) fn settings(&self) -> io::Result<Option<String>> {
        let text = durable::read(&self.folder.join(SETTINGS))?;
        text.map(|text| String::from_utf8(text).map_err(io::Error::other)).transpose()
    }

    /// Keeps the text of the settings file that this process serves with; it is empty where there is no file.
    pub(crate) fn keep_settings(&self, text: &str) -> io::Result<()> {
        keep(&self.folder.join(SETTINGS), text.as_bytes())
    }

    fn secrets_file(&self, name: &str) -> PathBuf {
        self.folder.join("secrets").join(format!("{name}.json"))
    }
}

/// Writes a file where it is not the same already.
fn keep(file: &Path, data: &[u8]) -> io::Result<()> {
    if durable::read(file)?.is_some_and(|kept| kept == data) {
        return Ok(());
    }
    ownership::private_folder(file.parent().unwrap_or(Path::new(".")))?;
    durable::replace(file, data)
}
