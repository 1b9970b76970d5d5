//! Runs as Markdown.

use std::fmt::{self, Write};

use crate::figure::Figure;
use crate::record::Run;
use crate::row::{Row, Verdict};

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#### {}\n", self.title)?;
        if !self.rows.is_empty() {
            writeln!(
                f,
                "| row | connections | requests/s (min to max) | ratio | p50 µs | p99 µs | p99 ratio | server CPU | load CPU |"
            )?;
            writeln!(f, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")?;
            self.rows.iter().try_for_each(|row| write_row(f, row))?;
            writeln!(f)?;
        }
        if !self.figures.is_empty() {
            writeln!(f, "| figure | median (min to max) | goal |\n| --- | --- | --- |")?;
            self.figures.iter().try_for_each(|figure| write_figure(f, figure))?;
            writeln!(f)?;
        }
        self.verdicts.iter().try_for_each(|verdict| write_verdict(f, verdict))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "- warning: {warning}"))?;
        if !(self.verdicts.is_empty() && self.warnings.is_empty()) {
            writeln!(f)?;
        }
        writeln!(f, "{}", self.taken)
    }
}

fn write_row(f: &mut impl Write, row: &Row) -> fmt::Result {
    let server = row.server_cpu.map_or_else(|| "?".to_owned(), |cpu| format!("{cpu:.2}"));
    writeln!(
        f,
        "| {} | {} | {:.0} ({:.0} to {:.0}) | {:.2} | {:.0} | {:.0} | {:.2} | {server} | {:.2} |",
        row.name,
        row.connections,
        row.per_second.median,
        row.per_second.min,
        row.per_second.max,
        row.ratio,
        row.p50_us,
        row.p99_us,
        row.p99_ratio,
        row.load_cpu,
    )
}

fn write_figure(f: &mut impl Write, figure: &Figure) -> fmt::Result {
    let Figure { name, unit, spread, goal } = figure;
    let range = if spread.min < spread.max {
        format!(" ({} to {})", digits(spread.min), digits(spread.max))
    } else {
        String::new()
    };
    let goal = goal.map_or_else(String::new, |goal| {
        let word = if goal.is_reached(spread.median) { "reached" } else { "**missed**" };
        format!("{goal} {unit}: {word}")
    });
    writeln!(f, "| {name} | {} {unit}{range} | {goal} |", digits(spread.median))
}

/// Three significant digits, or all before the point.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn write_verdict(f: &mut impl Write, verdict: &Verdict) -> fmt::Result {
    let word = if verdict.goal.is_reached(verdict.value) { "reached" } else { "**missed**" };
    writeln!(f, "- {}: {:.2}, goal {}: {word}", verdict.what, verdict.value, verdict.goal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!([0.123, 4.567, 45.67, 456.7].map(digits), ["0.12", "4.57", "45.7", "457"]);
    }
}
