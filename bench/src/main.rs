//! Measures hhrf against the same answer from a bare axum handler: `just bench`, explained in docs/benchmarks.md.
//!
//! Each row is a server of its own, pinned to one core; the load comes from this process, pinned to another. A round
//! runs every row once, in turn, so that a change of the machine's mood meets all of them; ratios are taken within a
//! round.

mod bare_axum;
mod error;
mod histogram;
mod load;
mod machine;
mod report;
mod server;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use error::BenchError;
use load::{Load, Sample};
use machine::Cores;
use server::Server;

/// The same allocator as the host's, so that bare axum is compared and not the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What every row answers with.
const BODY: &str = r#"{"hello":"fezz-123"}"#;

#[derive(Debug, Parser)]
#[command(about = "Measures hhrf against bare axum")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How often every row is run; at least 3
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=100))]
    rounds: u32,
    /// Seconds of each run, after a second of warming up
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Numbers of connections, separated by commas
    #[arg(
        long,
        default_value = "1,64",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    connections: Vec<u16>,
    /// Writes all figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the bare axum row; the benchmark runs this itself
    #[command(hide = true)]
    ServeAxum,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::ServeAxum) => bare_axum::serve(),
        None => bench(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the benchmark cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &Arguments) -> Result<(), BenchError> {
    let cores = Cores::plan();
    cores.be_server()?;
    let servers = [Server::bare_axum()?, Server::hhrf()?];
    cores.be_load()?;
    for server in &servers {
        server.call()?;
    }
    let memory_at_first_mib = servers[1].resident_mib();
    let mut samples = Vec::new();
    for round in 0..arguments.rounds {
        for &connections in &arguments.connections {
            run_round(round, connections.into(), arguments, &servers, &mut samples)?;
        }
    }
    let report = report::Report {
        rows: report::rows(&samples),
        samples,
        cores: cores.describe(),
        memory_at_first_mib,
        memory_at_end_mib: servers[1].resident_mib(),
        machine: machine::describe(),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
    };
    write!(std::io::stdout(), "{report}").map_err(BenchError::io("printing the report"))?;
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .map_err(BenchError::io(format!("writing {}", file.display())))?;
    }
    Ok(())
}

/// Every row once; every other round from the last to the first, so that no row is always the first.
fn run_round(
    round: u32,
    connections: usize,
    arguments: &Arguments,
    servers: &[Server],
    samples: &mut Vec<Sample>,
) -> Result<(), BenchError> {
    let mut order: Vec<_> = servers.iter().collect();
    if round % 2 == 1 {
        order.reverse();
    }
    for server in order {
        let load = Load {
            address: server.address,
            process: server.id(),
            request: server.request(),
            connections,
            warm_up: Duration::from_secs(1),
            time: Duration::from_secs(arguments.seconds),
        };
        let measured = load.run().map_err(BenchError::of(server.name, connections))?;
        let _ = writeln!(
            std::io::stderr(),
            "round {round}, {} at {connections}: {:.0} requests/s",
            server.name,
            measured.per_second
        );
        samples.push(Sample { row: server.name, round, connections, measured });
    }
    Ok(())
}
