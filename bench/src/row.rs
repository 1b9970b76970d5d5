//! A row of a table: one server at one number of connections, over all rounds.

use serde::{Deserialize, Serialize};

use crate::figure::Goal;
use crate::load::Measured;
use crate::spread::Spread;

/// One run of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) row: String,
    pub(crate) round: u32,
    pub(crate) connections: usize,
    pub(crate) measured: Measured,
}

/// All runs of a row, and how they compare with the workload's first row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) connections: usize,
    pub(crate) per_second: Spread,
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) throughput_ratio: Spread,
    pub(crate) p50_ratio: Spread,
    pub(crate) p99_ratio: Spread,
    pub(crate) load_cpu: Spread,
    pub(crate) server_cpu: Option<Spread>,
    pub(crate) others_cpu: Option<Spread>,
}

/// A goal, with what it was held against.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) goal: Goal,
}

/// What a goal of a row is about.
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

/// Sums the samples up. The first row that was run is what the others are held against.
pub(crate) fn rows(samples: &[Sample]) -> Vec<Row> {
    let Some(base) = samples.first().map(|sample| sample.row.clone()) else { return Vec::new() };
    let mut keys: Vec<(usize, &str)> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.round == 0) {
        keys.push((sample.connections, &sample.row));
    }
    keys.sort_by_key(|(connections, _)| *connections);
    keys.into_iter().filter_map(|(connections, name)| row(name, &base, connections, samples)).collect()
}

fn row(name: &str, base: &str, connections: usize, samples: &[Sample]) -> Option<Row> {
    let spread = |figure: fn(&Measured) -> f64| {
        Spread::of(runs(samples, name, connections).map(|sample| figure(&sample.measured)))
    };
    let known = |figure: fn(&Measured) -> Option<f64>| {
        Spread::of(runs(samples, name, connections).filter_map(|sample| figure(&sample.measured)))
    };
    let against_base = |metric| ratio(samples, metric, (name, connections), (base, connections));
    Some(Row {
        name: name.to_owned(),
        connections,
        per_second: spread(|measured| measured.per_second)?,
        p50_us: spread(|measured| measured.p50_us)?,
        p99_us: spread(|measured| measured.p99_us)?,
        throughput_ratio: against_base(Metric::Throughput)?,
        p50_ratio: against_base(Metric::P50)?,
        p99_ratio: against_base(Metric::P99)?,
        load_cpu: spread(|measured| measured.load_cpu)?,
        server_cpu: known(|measured| measured.server_cpu),
        others_cpu: known(|measured| measured.others_cpu),
    })
}

fn runs<'s>(samples: &'s [Sample], row: &'s str, connections: usize) -> impl Iterator<Item = &'s Sample> {
    samples.iter().filter(move |sample| sample.row == row && sample.connections == connections)
}

/// One row against another, within each round, so that a slow minute of the machine's slows both.
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
        let ratio = rows.iter().find(|row| row.name == "it").map(|row| row.throughput_ratio);
        assert!(matches!(ratio, Some(Spread { median: 0.5, min: 0.5, max: 0.5 })));
    }
}
