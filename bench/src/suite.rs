//! Runs what was asked for, prints it, and records it.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::Arguments;
use crate::error::BenchError;
use crate::figure::Figure;
use crate::load::{Load, Traffic};
use crate::machine::{self, Cores};
use crate::record::{Record, Run};
use crate::row::{self, Sample, Verdict};
use crate::server::{self, Deployed, Name, Server};
use crate::workload::{self, RowPlan, Workload};
use crate::{chart, scale, swap};

/// Before each run of a row.
const WARM_UP: Duration = Duration::from_secs(1);
/// Between them stand the tables of benchmarks.md.
const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";

pub(crate) fn run(arguments: &Arguments) -> Result<(), BenchError> {
    let cores = Cores::plan();
    let servers = Name::found(arguments.peers);
    let workloads = workload::all(&servers)?;
    let names: Vec<_> =
        workloads.iter().map(|workload| workload.name).chain(["scale", "swap", "memory"]).collect();
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
        let (name, title, taken) = (name.to_owned(), title.to_owned(), taken.clone());
        let (rows, verdicts, samples) = Default::default();
        runs.push(Run { name, title, taken, rows, figures, verdicts, samples });
    };
    if wanted("scale") {
        figures("scale", "500 functions", scale::measure(cores, arguments)?);
    }
    if wanted("swap") {
        figures("swap", "A new version", swap::measure(cores)?);
    }
    if wanted("memory") {
        figures("memory", "Memory", memory(cores)?);
    }
    let mut out = std::io::stdout();
    for run in &runs {
        writeln!(out, "{run}").map_err(BenchError::io("printing the report"))?;
    }
    match &arguments.record {
        Some(folder) => record(folder, runs, &names),
        None => Ok(()),
    }
}

/// The serving process, before it has any function.
fn memory(cores: Cores) -> Result<Vec<Figure>, BenchError> {
    cores.be_server()?;
    let host = Deployed::new()?.start()?;
    let mib = host.process.resident_kib()? / 1024.0;
    let figure = Figure::of("resident memory without functions", "MiB", [mib]);
    Ok(figure.map(|figure| figure.at_most(15.0)).into_iter().collect())
}

fn taken(cores: Cores, arguments: &Arguments, servers: &[Name]) -> String {
    let Arguments { rounds, seconds, .. } = arguments;
    let versions: String = servers
        .iter()
        .filter_map(|&name| server::version(name))
        .map(|version| format!("; {version}"))
        .collect();
    format!("{rounds} rounds of {seconds} s, {}; {}{versions}.", cores.describe(), machine::describe())
}

/// All rounds of one workload.
fn load(workload: &Workload, cores: Cores, arguments: &Arguments, taken: &str) -> Result<Run, BenchError> {
    cores.be_server()?;
    let mut servers: Vec<Server> = Vec::new();
    for row in &workload.rows {
        if !servers.iter().any(|server| server.name == row.server) {
            servers.push(Server::start(row.server)?);
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
    Ok(Run {
        name: workload.name.to_owned(),
        title: workload.title.to_owned(),
        taken: taken.to_owned(),
        rows: row::rows(&samples),
        figures: Vec::new(),
        verdicts: verdicts(workload, &samples),
        samples,
    })
}

/// Every row once; every other round from the last to the first, so that no row is always the first.
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
        let Some(server) = servers.iter().find(|server| server.name == row.server) else { continue };
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

/// How the workload's goals fared; none for rows that were not run.
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

/// Takes the runs into the record, and writes its tables anew.
fn record(folder: &Path, runs: Vec<Run>, names: &[&str]) -> Result<(), BenchError> {
    let file = folder.join("benchmarks.json");
    let mut record = Record::read(&file)?;
    for run in runs {
        record.take(run, names);
    }
    record.write(&file)?;
    let picture = folder.join("benchmarks.svg");
    std::fs::write(&picture, chart::svg(&record)).map_err(BenchError::io("writing the chart"))?;
    let page = folder.join("benchmarks.md");
    let doing = || BenchError::io(format!("writing the tables of {}", page.display()));
    let text = std::fs::read_to_string(&page).map_err(doing())?;
    let parts = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = parts.ok_or_else(|| doing()(std::io::Error::other("its figures have no marks")))?;
    let tables: Vec<_> = record.runs.iter().map(ToString::to_string).collect();
    let text = format!("{head}{BEGIN}\n{}\n{END}{tail}", tables.join("\n"));
    std::fs::write(&page, text).map_err(doing())
}
