//! The table, the verdicts, and the JSON.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::load::{Measured, Sample};

/// From here on a core counts as busy.
const BUSY: f64 = 0.9;
/// What every ratio is against.
const BASE: &str = "bare axum";
const MIN_THROUGHPUT_RATIO: f64 = 0.45;
const MAX_P99_RATIO: f64 = 4.0;
const MAX_MIB: f64 = 25.0;

/// All of a benchmark's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// Every run, so that the summary above can be checked.
    pub(crate) samples: Vec<Sample>,
    pub(crate) cores: String,
    pub(crate) memory_at_first_mib: Option<f64>,
    pub(crate) memory_at_end_mib: Option<f64>,
    pub(crate) machine: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: u64,
}

/// One server at one number of connections, over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    connections: usize,
    per_second: Spread,
    p50_us: Spread,
    p99_us: Spread,
    throughput_ratio: Spread,
    p99_ratio: Spread,
    load_cpu: Spread,
    server_cpu: Spread,
}

/// Median, minimum and maximum of the rounds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        // The same value twice where their number is odd.
        let median = f64::midpoint(at(last / 2), at(values.len() / 2));
        Self { median, min: at(0), max: at(last) }
    }
}

/// Sums the samples up, a row for each server and number of connections.
pub(crate) fn rows(samples: &[Sample]) -> Vec<Row> {
    let keys: BTreeSet<_> = samples.iter().map(|sample| (sample.connections, sample.row)).collect();
    keys.into_iter().map(|(connections, name)| row(name, connections, samples)).collect()
}

fn row(name: &'static str, connections: usize, samples: &[Sample]) -> Row {
    let of = |row: &'static str| {
        samples.iter().filter(move |sample| sample.row == row && sample.connections == connections)
    };
    let spread = |figure: fn(&Measured) -> f64| Spread::of(of(name).map(|sample| figure(&sample.measured)));
    // Within a round, so that a slow minute of the machine's slows both.
    let ratio = |figure: fn(&Measured) -> f64| {
        Spread::of(of(name).filter_map(|sample| {
            let base = of(BASE).find(|base| base.round == sample.round)?;
            Some(figure(&sample.measured) / figure(&base.measured))
        }))
    };
    Row {
        name,
        connections,
        per_second: spread(|measured| measured.per_second),
        p50_us: spread(|measured| measured.p50_us),
        p99_us: spread(|measured| measured.p99_us),
        throughput_ratio: ratio(|measured| measured.per_second),
        p99_ratio: ratio(|measured| measured.p99_us),
        load_cpu: spread(|measured| measured.load_cpu),
        server_cpu: spread(|measured| measured.server_cpu.unwrap_or(f64::NAN)),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| row | connections | requests/s (min to max) | ratio | p50 µs | p99 µs | p99 ratio | server's core | load's core |"
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")?;
        for row in &self.rows {
            writeln!(
                f,
                "| {} | {} | {:.0} ({:.0} to {:.0}) | {:.2} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} |",
                row.name,
                row.connections,
                row.per_second.median,
                row.per_second.min,
                row.per_second.max,
                row.throughput_ratio.median,
                row.p50_us.median,
                row.p99_us.median,
                row.p99_ratio.median,
                row.server_cpu.median,
                row.load_cpu.median,
            )?;
        }
        let mib =
            |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |mib| format!("{mib:.1} MiB"));
        writeln!(
            f,
            "\nhhrf's resident memory with one function: {} after its first call, {} at the end.",
            mib(self.memory_at_first_mib),
            mib(self.memory_at_end_mib)
        )?;
        writeln!(f, "{} rounds of {} s, {}; {}.\n", self.rounds, self.seconds, self.cores, self.machine)?;
        self.verdicts(f)
    }
}

impl Report {
    fn verdicts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.rows.iter().filter(|row| row.name != BASE && row.connections == 64) {
            let (throughput, p99) = (row.throughput_ratio.median, row.p99_ratio.median);
            verdict(
                f,
                throughput >= MIN_THROUGHPUT_RATIO,
                &format!(
                    "{}: {throughput:.2} of bare axum's throughput, at least {MIN_THROUGHPUT_RATIO}",
                    row.name
                ),
            )?;
            verdict(
                f,
                p99 <= MAX_P99_RATIO,
                &format!("{}: {p99:.2} times bare axum's p99, at most {MAX_P99_RATIO}", row.name),
            )?;
        }
        // It must hold before the load and after it.
        if let (Some(first), Some(end)) = (self.memory_at_first_mib, self.memory_at_end_mib) {
            let mib = first.max(end);
            verdict(f, mib < MAX_MIB, &format!("memory with one function: {mib:.1} MiB, under {MAX_MIB}"))?;
        }
        for row in self.rows.iter().filter(|row| row.load_cpu.median > BUSY) {
            let server = row.server_cpu.median;
            // NaN where it is not known, which is no excuse.
            let whose = if server > BUSY && server > row.load_cpu.median {
                "note: the server's core was fuller still"
            } else {
                "warning: the load, not the server, may be what was measured"
            };
            writeln!(
                f,
                "{whose}: {} at {}: load {:.2}, server {server:.2}",
                row.name, row.connections, row.load_cpu.median
            )?;
        }
        Ok(())
    }
}

fn verdict(f: &mut fmt::Formatter<'_>, reached: bool, what: &str) -> fmt::Result {
    writeln!(f, "{} {what}", if reached { "reached:" } else { "MISSED: " })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(row: &'static str, round: u32, per_second: f64) -> Sample {
        let measured = Measured { per_second, p50_us: 1.0, p99_us: 2.0, load_cpu: 0.5, server_cpu: None };
        Sample { row, round, connections: 64, measured }
    }

    #[test]
    fn medians_of_odd_and_even_numbers() {
        let odd = Spread::of([3.0, 1.0, 2.0].into_iter());
        assert_eq!((odd.median, odd.min, odd.max), (2.0, 1.0, 3.0));
        let even = Spread::of([4.0, 1.0, 2.0, 3.0].into_iter());
        assert_eq!((even.median, even.min, even.max), (2.5, 1.0, 4.0));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The second round is twice as fast for both: the ratio does not move.
        let samples =
            [sample(BASE, 0, 100.0), sample("it", 0, 50.0), sample("it", 1, 100.0), sample(BASE, 1, 200.0)];
        let rows = rows(&samples);
        let ratio = rows.iter().find(|row| row.name == "it").map(|row| row.throughput_ratio);
        assert!(matches!(ratio, Some(Spread { median: 0.5, min: 0.5, max: 0.5 })));
    }
}
