//! The recorded figures in docs/: benchmarks.json, its chart, and the tables of benchmarks.md.

use std::path::Path;

use crate::chart;
use crate::cores::Placement;
use crate::error::BenchError;
use crate::record::{Record, Run};

const RECORD: &str = "benchmarks.json";
const CHART: &str = "benchmarks.svg";
const PAGE: &str = "benchmarks.md";
/// The tables stand between these lines of the page.
const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Adds runs to the record, and renders the chart and the tables from it. `names` is the order of the runs.
pub(crate) fn record(folder: &Path, runs: Vec<Run>, names: &[&str]) -> Result<(), BenchError> {
    let file = folder.join(RECORD);
    let mut record = Record::read(&file)?;
    for run in runs {
        record.insert(run, names);
    }
    record.write(&file)?;
    std::fs::write(folder.join(CHART), chart::svg(&record)).map_err(BenchError::io("writing the chart"))?;
    let page = folder.join(PAGE);
    let doing = || BenchError::io(format!("writing the tables of {}", page.display()));
    let text = std::fs::read_to_string(&page).map_err(doing())?;
    let text =
        with_tables(&text, &record).ok_or_else(|| doing()(std::io::Error::other("it has no marks")))?;
    std::fs::write(&page, text).map_err(doing())
}

/// The page with the record's tables between its marks; none if the marks are missing.
fn with_tables(page: &str, record: &Record) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n{}\n{END}{tail}", tables(record)))
}

/// A set of tables for each placement that was measured.
fn tables(record: &Record) -> String {
    let sets = [
        (Placement::Pinned, "### Server and load on a CPU each"),
        (Placement::Shared, "### Server and load share the CPUs"),
    ];
    let sets = sets.into_iter().filter_map(|(placement, heading)| {
        let runs = record.runs.iter().filter(|run| run.cores == placement);
        let tables: Vec<_> = runs.map(ToString::to_string).collect();
        (!tables.is_empty()).then(|| format!("{heading}\n\n{}", tables.join("\n")))
    });
    sets.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_tables_and_chart_are_those_of_the_record() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let read = |name| std::fs::read_to_string(docs.join(name)).expect("a file of docs/");
        let record = Record::read(&docs.join(RECORD)).expect("the record");
        let page = read(PAGE);
        let hint = "`just bench render docs` renders both";
        assert!(with_tables(&page, &record).is_some_and(|rendered| rendered == page), "{hint}");
        assert!(chart::svg(&record) == read(CHART), "{hint}");
    }

    #[test]
    fn a_page_without_marks_is_not_written() {
        assert_eq!(with_tables("# A page\n", &Record::default()), None);
    }
}
