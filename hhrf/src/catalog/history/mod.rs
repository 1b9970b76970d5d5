//! The history of deployments: `<state>/history/<id>@<version>.jsonl`, a record a line, the newest last.
//!
//! The functions folder says what should be served. The history says what was: a process that starts where a folder is
//! bad serves its last record. A record refers to the store, and what a record refers to stays there.

mod collect;
mod record;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fezz_runtime::Digest;

use super::durable;
use super::ownership;
use super::store::Store;
pub(super) use collect::Collector;
use record::Outcome;
pub(super) use record::{Build, Record};

/// Records that are kept of a function.
const RETENTION: usize = 10;
/// Ends the name of a history's file.
const SUFFIX: &str = ".jsonl";
/// Whoever changes the functions folder.
const DROP: &str = "drop";

/// All histories.
#[derive(Clone, Debug)]
pub(super) struct History {
    folder: PathBuf,
    store: Store,
}

/// The files of a deployment, as they were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'f> {
    pub(super) library: Digest,
    pub(super) manifest: &'f [u8],
    pub(super) env: Option<&'f [u8]>,
    /// The list of the files beside the library.
    pub(super) assets: Option<&'f [u8]>,
}

impl History {
    /// The histories below `state`, whose records refer to `store`. Nothing is made on disk before there is a record.
    pub(super) fn of(state: &Path, store: Store) -> Self {
        Self { folder: state.join("history"), store }
    }

    /// Records that this is served; changes nothing where the last record says so already.
    pub(super) fn serving(&self, name: &str, files: Files<'_>) -> io::Result<bool> {
        let keep = |text: Option<&[u8]>| text.map(|text| self.store.keep(text)).transpose();
        let build = Build {
            digest: files.library,
            manifest: self.store.keep(files.manifest)?,
            env: keep(files.env)?,
            assets: keep(files.assets)?,
        };
        let records = self.records(name)?;
        if records.last().and_then(Record::build) == Some(&build) {
            return Ok(false);
        }
        self.add(name, records, Outcome::Serving(build))?;
        Ok(true)
    }

    /// Records that the function's folder was removed, if it was served.
    pub(super) fn undeployed(&self, name: &str) -> io::Result<()> {
        let records = self.records(name)?;
        match records.last() {
            Some(last) if last.build().is_some() => self.add(name, records, Outcome::Undeployed),
            _ => Ok(()),
        }
    }

    /// What was served last, and when it was deployed; none where the function was never deployed, or was removed.
    pub(super) fn last_good(&self, name: &str) -> io::Result<Option<(Build, Option<SystemTime>)>> {
        let last = self.records(name)?.pop();
        Ok(last.and_then(|record| {
            let at = humantime::parse_rfc3339(&record.at).ok();
            Some((record.build()?.clone(), at))
        }))
    }

    /// The functions that were deployed and not removed.
    pub(super) fn deployed(&self) -> io::Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| match self.last_good(name) {
            Ok(build) => build.is_some(),
            Err(error) => {
                tracing::error!(function = name, "its history cannot be read: {error}");
                false
            }
        });
        Ok(names)
    }

    /// All functions that have a history.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(str::to_owned));
        }
        Ok(names)
    }

    /// The records of a function, the newest last. What is none is passed over: a newer host may write what this one does
    /// not know.
    fn records(&self, name: &str) -> io::Result<Vec<Record>> {
        let text = durable::read(&self.file(name))?.unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    fn add(&self, name: &str, mut records: Vec<Record>, outcome: Outcome) -> io::Result<()> {
        records.push(Record {
            number: records.last().map_or(1, |last| last.number + 1),
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            who: DROP.to_owned(),
            message: String::new(),
            outcome,
        });
        let mut text = Vec::new();
        for record in records.iter().skip(records.len().saturating_sub(RETENTION)) {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        ownership::private_folder(&self.folder)?;
        // Written anew as a whole, so that there never is half a line.
        durable::replace(&self.file(name), &text)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{SUFFIX}"))
    }
}
