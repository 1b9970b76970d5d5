//! What was measured, as JSON: one run for each workload or group of figures, with where and when it was taken.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::figure::Figure;
use crate::row::{Row, Sample, Verdict};

/// All runs; a newer one of the same name takes an older one's place.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) runs: Vec<Run>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) title: String,
    /// Cores, machine, versions, date and commit.
    pub(crate) taken: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) verdicts: Vec<Verdict>,
    /// Every single run, so that the rows can be checked.
    pub(crate) samples: Vec<Sample>,
}

impl Record {
    /// Reads a record; an empty one where there is no file yet.
    pub(crate) fn read(file: &Path) -> Result<Self, BenchError> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read(file).map_err(BenchError::io(format!("reading {}", file.display())))?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), BenchError> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        std::fs::write(file, text).map_err(BenchError::io(format!("writing {}", file.display())))
    }

    /// Takes a run in; the order is that of `names`, whatever was measured when.
    pub(crate) fn take(&mut self, run: Run, names: &[&str]) {
        self.runs.retain(|known| known.name != run.name);
        self.runs.push(run);
        self.runs.sort_by_key(|run| names.iter().position(|name| *name == run.name));
    }
}
