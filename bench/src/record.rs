//! The record of all figures as JSON, one line for each row, figure and goal.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cores::Placement;
use crate::error::BenchError;
use crate::figure::Figure;
use crate::row::{Row, Verdict};

/// The latest run of each workload or group of figures, for each placement.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Record {
    pub(crate) runs: Vec<Run>,
}

/// All rounds of a workload, or a group of figures.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) cores: Placement,
    /// Rounds, CPUs, machine, versions, date and commit.
    pub(crate) taken: String,
    #[serde(default)]
    pub(crate) rows: Vec<Row>,
    #[serde(default)]
    pub(crate) figures: Vec<Figure>,
    #[serde(default)]
    pub(crate) verdicts: Vec<Verdict>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

impl Record {
    /// Reads a record; a missing file is an empty one.
    pub(crate) fn read(file: &Path) -> Result<Self, BenchError> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read(file).map_err(BenchError::io(format!("reading {}", file.display())))?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), BenchError> {
        std::fs::write(file, self.to_json()?).map_err(BenchError::io(format!("writing {}", file.display())))
    }

    fn to_json(&self) -> Result<String, BenchError> {
        let runs = self.runs.iter().map(Run::to_json).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("{{\"runs\": [\n{}\n]}}\n", runs.join(",\n")))
    }

    /// Puts a run in the place of the one with the same name and placement. The order is that of `names`, pinned runs
    /// first.
    pub(crate) fn insert(&mut self, run: Run, names: &[&str]) {
        self.runs.retain(|known| (&known.name, known.cores) != (&run.name, run.cores));
        self.runs.push(run);
        self.runs.sort_by_key(|run| (run.cores, names.iter().position(|name| *name == run.name)));
    }
}

impl Run {
    /// The run as JSON, with a line for each element of its lists. Empty lists are left out.
    fn to_json(&self) -> serde_json::Result<String> {
        let head = [
            ("name", serde_json::to_string(&self.name)?),
            ("title", serde_json::to_string(&self.title)?),
            ("cores", serde_json::to_string(&self.cores)?),
            ("taken", serde_json::to_string(&self.taken)?),
        ];
        let lists = [
            ("rows", lines(&self.rows)?),
            ("figures", lines(&self.figures)?),
            ("verdicts", lines(&self.verdicts)?),
            ("warnings", lines(&self.warnings)?),
        ];
        let fields =
            head.into_iter().chain(lists.into_iter().filter_map(|(name, lines)| Some((name, lines?))));
        let fields: Vec<_> = fields.map(|(name, value)| format!("  \"{name}\": {value}")).collect();
        Ok(format!(" {{\n{}\n }}", fields.join(",\n")))
    }
}

/// A list with a line for each element; none if it is empty.
fn lines<T: Serialize>(elements: &[T]) -> serde_json::Result<Option<String>> {
    let lines = elements.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok((!lines.is_empty()).then(|| format!("[\n   {}\n  ]", lines.join(",\n   "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Goal;
    use crate::spread::Spread;

    fn run(name: &str, cores: Placement) -> Run {
        let spread = Spread { median: 2.5, min: 1.0, max: 3.0 };
        let row = Row {
            name: "bare \"axum\"".to_owned(),
            connections: 64,
            per_second: spread,
            ratio: 1.0,
            p50_us: 1.5,
            p99_us: 2.5,
            p99_ratio: 1.0,
            server_cpu: None,
            load_cpu: 0.5,
        };
        let verdict = Verdict { what: "p50".to_owned(), value: 1.0, goal: Goal::AtMost(1.1) };
        Run {
            name: name.to_owned(),
            title: "a title".to_owned(),
            cores,
            taken: "today".to_owned(),
            rows: vec![row.clone(), row],
            figures: Figure::of("a time", "ms", [1.0, 2.0]).into_iter().collect(),
            verdicts: vec![verdict],
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record { runs: vec![run("hello", Placement::Pinned), run("json", Placement::Shared)] };
        let text = record.to_json().expect("JSON");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("a record"), record);
        let rows = text.lines().filter(|line| line.contains("per_second"));
        assert!(rows.clone().count() == 4 && rows.clone().all(|row| row.contains("load_cpu")), "{text}");
        assert!(!text.contains("warnings"), "{text}");
    }

    #[test]
    fn a_run_takes_the_place_of_its_own_kind_alone() {
        let names = ["hello", "json"];
        let mut record = Record::default();
        record.insert(run("json", Placement::Shared), &names);
        record.insert(run("json", Placement::Pinned), &names);
        record.insert(run("hello", Placement::Shared), &names);
        record.insert(Run { taken: "later".to_owned(), ..run("json", Placement::Pinned) }, &names);
        let found: Vec<_> =
            record.runs.iter().map(|run| (run.name.as_str(), run.cores, run.taken.as_str())).collect();
        let expected = [
            ("json", Placement::Pinned, "later"),
            ("hello", Placement::Shared, "today"),
            ("json", Placement::Shared, "today"),
        ];
        assert_eq!(found, expected);
    }
}
