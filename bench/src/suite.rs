//! Runs the selected workloads and figures, prints the report, and records it.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::Arguments;
use crate::cores::{Cores, Placement};
use crate::error::BenchError;
use crate::figure::Figure;
use crate::load::{Load, Traffic};
use crate::machine;
use crate::record::Run;
use crate::row::{self, Sample, Verdict};
use crate::server::{self, Deployed, Kind, Server};
use crate::workload::{self, RowPlan, Workload};
use crate::{page, scale, sockets, swap};

/// Time before each run whose answers do not count.
const WARM_UP: Duration = Duration::from_secs(1);
/// What is measured besides workloads.
const FIGURES: [&str; 4] = ["scale", "swap", "sockets", "memory"];

pub(crate) fn run(arguments: &Arguments) -> Result<(), BenchError> {
    let cores = Cores::plan(arguments.shared);
    if let Some(name) = server::repeated(&arguments.hosts) {
        return Err(BenchError::Repeated(name.to_owned()));
    }
    let servers = Kind::found(&arguments.hosts, arguments.peers);
    let workloads = workload::all(&servers)?;
    let names: Vec<_> = workloads.iter().map(|workload| workload.name).chain(FIGURES).collect();
    if let Some(unknown) = arguments.only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(BenchError::Unknown { name: unknown.clone(), known: names.join(", ") });
    }
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let taken = taken(cores, arguments, &servers);
    let mut runs = Vec::new();
    for workload in workloads.iter().filter(|workload| wanted(workload.name)) {
        runs.push(load(workload, cores, arguments, &taken)?);
    }
    let mut figures = |name: &str, title: &str, figures: Vec<Figure>| {
        runs.push(Run { figures, ..empty(name, title, cores, &taken) });
    };
    if wanted("scale") {
        figures("scale", "500 functions", scale::measure(cores, arguments)?);
    }
    if wanted("swap") {
        figures("swap", "A new version", swap::measure(cores)?);
    }
    if wanted("sockets") {
        figures("sockets", "WebSockets", sockets::measure(cores, arguments)?);
    }
    if wanted("memory") {
        figures("memory", "Memory", memory(cores)?);
    }
    let mut out = std::io::stdout();
    for run in &runs {
        writeln!(out, "{run}").map_err(BenchError::io("printing the report"))?;
    }
    match &arguments.record {
        Some(folder) => page::record(folder, runs, &names),
        None => Ok(()),
    }
}

/// Renders the recorded tables and chart again.
pub(crate) fn render(folder: &Path) -> Result<(), BenchError> {
    page::record(folder, Vec::new(), &[])
}

fn empty(name: &str, title: &str, cores: Cores, taken: &str) -> Run {
    Run {
        name: name.to_owned(),
        title: title.to_owned(),
        cores: cores.placement(),
        taken: taken.to_owned(),
        rows: Vec::new(),
        figures: Vec::new(),
        verdicts: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Resident memory of a serving process without functions.
fn memory(cores: Cores) -> Result<Vec<Figure>, BenchError> {
    cores.be_server()?;
    let host = Deployed::new()?.start()?;
    let mib = host.process.resident_kib()? / 1024.0;
    let figure = Figure::of("resident memory without functions", "MiB", [mib]);
    Ok(figure.map(|figure| figure.at_most(15.0)).into_iter().collect())
}

/// How and where the figures were taken.
fn taken(cores: Cores, arguments: &Arguments, servers: &[Kind]) -> String {
    let Arguments { rounds, seconds, .. } = arguments;
    let versions: String =
        servers.iter().filter_map(server::version).map(|version| format!("; {version}")).collect();
    format!("{rounds} rounds of {seconds} s, {}; {}{versions}.", cores.describe(), machine::describe())
}

/// All rounds of one workload.
fn load(workload: &Workload, cores: Cores, arguments: &Arguments, taken: &str) -> Result<Run, BenchError> {
    cores.be_server()?;
    let mut servers: Vec<Server> = Vec::new();
    for row in &workload.rows {
        if !servers.iter().any(|server| server.kind == row.server) {
            servers.push(Server::start(&row.server)?);
        }
    }
    cores.be_load()?;
    let connections: Vec<usize> = if arguments.connections.is_empty() {
        workload.connections.clone()
    } else {
        arguments.connections.iter().map(|&connections| connections.into()).collect()
    };
    let mut samples = Vec::new();
    for round in 0..arguments.rounds {
        for &connections in &connections {
            run_round(round, connections, workload, arguments, &servers, &mut samples)?;
        }
    }
    // The goals are for pinned runs.
    let is_pinned = cores.placement() == Placement::Pinned;
    Ok(Run {
        rows: row::rows(&samples),
        verdicts: if is_pinned { verdicts(workload, &samples) } else { Vec::new() },
        warnings: row::warnings(&samples, cores),
        ..empty(workload.name, workload.title, cores, taken)
    })
}

/// Every row once; odd rounds in reverse order, so that no row is always the first.
fn run_round(
    round: u32,
    connections: usize,
    workload: &Workload,
    arguments: &Arguments,
    servers: &[Server],
    samples: &mut Vec<Sample>,
) -> Result<(), BenchError> {
    let mut order: Vec<&RowPlan> = workload.rows.iter().collect();
    if round % 2 == 1 {
        order.reverse();
    }
    for row in order {
        let Some(server) = servers.iter().find(|server| server.kind == row.server) else { continue };
        let load = Load {
            address: server.address,
            processes: server.processes(),
            traffic: Traffic { exchanges: row.exchanges.clone(), connections },
            beside: row.beside.clone(),
            warm_up: WARM_UP,
            time: Duration::from_secs(arguments.seconds),
            patience: Duration::from_secs(arguments.patience),
        };
        let measured = load.run().map_err(BenchError::of(&row.name, connections))?;
        let _ = writeln!(
            std::io::stderr(),
            "{}, round {round}, {} at {connections}: {:.0} requests/s",
            workload.name,
            row.name,
            measured.per_second
        );
        samples.push(Sample { row: row.name.clone(), round, connections, measured });
    }
    Ok(())
}

/// The values of the workload's goals; goals of rows that were not run are left out.
fn verdicts(workload: &Workload, samples: &[Sample]) -> Vec<Verdict> {
    let verdicts = workload.goals.iter().filter_map(|goal| {
        let at = goal.connections;
        let spread = row::ratio(samples, goal.metric, (goal.row, at), (goal.against, at))?;
        let what =
            format!("{} of {} against {} at {at} connections", goal.metric.name(), goal.row, goal.against);
        Some(Verdict { what, value: spread.median, goal: goal.goal })
    });
    verdicts.collect()
}
