//! A row of a table: one server at one number of connections, over all rounds.

use serde::{Deserialize, Serialize};

use crate::cores::Cores;
use crate::figure::Goal;
use crate::load::Measured;
use crate::machine::QUIET;
use crate::spread::Spread;

/// One run of a row.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) row: String,
    pub(crate) round: u32,
    pub(crate) connections: usize,
    pub(crate) measured: Measured,
}

/// Medians over all runs of a row; ratios are against the workload's first row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) connections: usize,
    pub(crate) per_second: Spread,
    pub(crate) ratio: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p99_ratio: f64,
    /// CPUs that the server used; unknown where the system does not tell.
    pub(crate) server_cpu: Option<f64>,
    pub(crate) load_cpu: f64,
}

/// A goal, and the value reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) goal: Goal,
}

/// The quantity that a goal of a row is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metric {
    Throughput,
    P50,
    P99,
}

impl Metric {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "requests/s",
            Self::P50 => "p50",
            Self::P99 => "p99",
        }
    }

    const fn of(self, measured: &Measured) -> f64 {
        match self {
            Self::Throughput => measured.per_second,
            Self::P50 => measured.p50_us,
            Self::P99 => measured.p99_us,
        }
    }
}

/// Sums the samples up, by number of connections. The first row that was run is the base of all ratios.
pub(crate) fn rows(samples: &[Sample]) -> Vec<Row> {
    let Some(base) = samples.first().map(|sample| sample.row.clone()) else { return Vec::new() };
    keys(samples)
        .into_iter()
        .filter_map(|(connections, name)| row(name, &base, connections, samples))
        .collect()
}

/// Why a row's figures are not to be relied on, one sentence for each reason.
pub(crate) fn warnings(samples: &[Sample], cores: Cores) -> Vec<String> {
    let mut warnings = Vec::new();
    for (connections, name) in keys(samples) {
        let others = known(samples, name, connections, |measured| measured.others_cpu);
        if let Some(others) = others.filter(|&others| others > QUIET) {
            warnings
                .push(format!("{name} at {connections}: other programs used {others:.2} of a CPU meanwhile"));
        }
        let load = known(samples, name, connections, |measured| Some(measured.load_cpu)).unwrap_or_default();
        let server = known(samples, name, connections, |measured| measured.server_cpu).unwrap_or_default();
        if cores.is_load_bound(load, server) {
            warnings
                .push(format!("{name} at {connections}: the load generator, not the server, was the limit"));
        }
    }
    warnings
}

/// Connections and name of each row, in the first round's order.
fn keys(samples: &[Sample]) -> Vec<(usize, &str)> {
    let first = samples.iter().filter(|sample| sample.round == 0);
    let mut keys: Vec<_> = first.map(|sample| (sample.connections, sample.row.as_str())).collect();
    keys.sort_by_key(|(connections, _)| *connections);
    keys
}

fn row(name: &str, base: &str, connections: usize, samples: &[Sample]) -> Option<Row> {
    let median = |figure: fn(&Measured) -> Option<f64>| known(samples, name, connections, figure);
    let against_base =
        |metric| ratio(samples, metric, (name, connections), (base, connections)).map(|spread| spread.median);
    Some(Row {
        name: name.to_owned(),
        connections,
        per_second: Spread::of(runs(samples, name, connections).map(|sample| sample.measured.per_second))?,
        ratio: against_base(Metric::Throughput)?,
        p50_us: median(|measured| Some(measured.p50_us))?,
        p99_us: median(|measured| Some(measured.p99_us))?,
        p99_ratio: against_base(Metric::P99)?,
        server_cpu: median(|measured| measured.server_cpu),
        load_cpu: median(|measured| Some(measured.load_cpu))?,
    })
}

/// The median of a figure over a row's runs; none if it is unknown in all of them.
fn known(
    samples: &[Sample],
    name: &str,
    connections: usize,
    figure: fn(&Measured) -> Option<f64>,
) -> Option<f64> {
    let values = runs(samples, name, connections).filter_map(|sample| figure(&sample.measured));
    Spread::of(values).map(|spread| spread.median)
}

fn runs<'s>(samples: &'s [Sample], row: &'s str, connections: usize) -> impl Iterator<Item = &'s Sample> {
    samples.iter().filter(move |sample| sample.row == row && sample.connections == connections)
}

/// One row against another, within each round: a slow minute of the machine slows both.
pub(crate) fn ratio(
    samples: &[Sample],
    metric: Metric,
    (row, connections): (&str, usize),
    (base, base_connections): (&str, usize),
) -> Option<Spread> {
    Spread::of(runs(samples, row, connections).filter_map(|sample| {
        let mut bases = runs(samples, base, base_connections);
        let base = bases.find(|base| base.round == sample.round)?;
        Some(metric.of(&sample.measured) / metric.of(&base.measured))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(row: &str, round: u32, per_second: f64) -> Sample {
        let measured = Measured {
            per_second,
            p50_us: 1.0,
            p99_us: 2.0,
            load_cpu: 0.5,
            server_cpu: None,
            others_cpu: None,
        };
        Sample { row: row.to_owned(), round, connections: 64, measured }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The second round is twice as fast for both: the ratio does not move.
        let samples = [
            sample("base", 0, 100.0),
            sample("it", 0, 50.0),
            sample("it", 1, 100.0),
            sample("base", 1, 200.0),
        ];
        let rows = rows(&samples);
        let found: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.ratio)).collect();
        assert_eq!(found, [("base", 1.0), ("it", 0.5)]);
    }

    #[test]
    fn a_disturbed_run_and_a_busy_load_are_warned_of() {
        let cores = Cores::Pinned { server: 0, load: 1 };
        let mut disturbed = sample("base", 0, 100.0);
        assert_eq!(warnings(std::slice::from_ref(&disturbed), cores), [""; 0]);
        disturbed.measured.others_cpu = Some(0.5);
        disturbed.measured.load_cpu = 0.99;
        disturbed.measured.server_cpu = Some(0.5);
        let warnings = warnings(&[disturbed], cores);
        assert_eq!(
            warnings,
            [
                "base at 64: other programs used 0.50 of a CPU meanwhile",
                "base at 64: the load generator, not the server, was the limit"
            ]
        );
    }
}
