//! Measures hhrf against bare axum and against other hosts of functions: `just bench`, explained in docs/benchmarks.md.
//!
//! Each server is a process pinned to one CPU; the load comes from this process, pinned to another. With `--shared` both
//! use all CPUs. A round runs every row once, so that a slow phase of the machine affects all rows, and ratios are taken
//! within a round.

mod chart;
mod client;
mod cores;
mod error;
mod exchange;
mod figure;
mod instructions;
mod load;
mod machine;
mod page;
mod record;
mod row;
mod scale;
mod server;
mod sockets;
mod spread;
mod suite;
mod swap;
mod table;
mod usage;
mod workload;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use server::GivenHost;

/// The host's allocator, so that allocators are not what is compared.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The body of most answers.
const BODY: &str = fezz_bench_work::HELLO;

#[derive(Debug, Parser)]
#[command(about = "Measures hhrf against bare axum")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Number of runs of each row, at least 3
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=100))]
    rounds: u32,
    /// Seconds of each run, after one second of warming up
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Numbers of connections, separated by commas, instead of each workload's own
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: Vec<u16>,
    /// Workloads and figures to measure, separated by commas, instead of all
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Lets server and load share all CPUs, instead of pinning each to one
    #[arg(long)]
    shared: bool,
    /// Adds the rows of another build of hhrf, or its instruction counts; may be repeated
    #[arg(long = "host", value_name = "NAME=PROGRAM", global = true)]
    hosts: Vec<GivenHost>,
    /// Longest wait in seconds for the machine to be quiet, before each run
    #[arg(long, default_value_t = 20)]
    patience: u64,
    /// Measures other hosts of functions too, those that are installed
    #[arg(long)]
    peers: bool,
    /// Records the figures in FOLDER: benchmarks.json, its chart, and the tables of benchmarks.md
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the bare axum rows; the benchmark runs this itself
    #[command(hide = true)]
    ServeAxum { data: PathBuf },
    /// Serve deployed libraries with bare axum; the benchmark runs this itself
    #[command(hide = true)]
    ServeLibraries { functions: PathBuf },
    /// Count the instructions of the request path, and compare them with the committed counts
    Check {
        /// The committed counts
        counts: PathBuf,
        /// Writes new counts instead
        #[arg(long)]
        update: bool,
    },
    /// Render the chart and the tables from FOLDER's benchmarks.json
    Render { folder: PathBuf },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Some(Command::ServeAxum { data }) => server::serve_axum(data),
        Some(Command::ServeLibraries { functions }) => server::serve_libraries(functions),
        Some(Command::Check { counts, update }) => instructions::check(counts, *update, &arguments.hosts),
        Some(Command::Render { folder }) => suite::render(folder),
        None => suite::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the benchmark cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_given_to_runs_and_to_checks() {
        let program = std::env::current_exe().expect("this program");
        let hosts = ["a", "b"].map(|name| format!("--host={name}={}", program.display()));
        for command in [&["bench"][..], &["bench", "check", "counts.json"]] {
            let line = command.iter().map(ToString::to_string).chain(hosts.clone());
            let arguments = Arguments::try_parse_from(line).expect("arguments");
            let names: Vec<_> = arguments.hosts.iter().map(|host| host.name.as_str()).collect();
            assert_eq!(names, ["a", "b"]);
        }
        assert!(Arguments::try_parse_from(["bench", "--host", "a"]).is_err());
    }
}
