//! Measures hhrf against bare axum and against other hosts of functions: `just bench`, explained in docs/benchmarks.md.
//!
//! Each row is a server of its own, pinned to one core; the load comes from this process, pinned to another. A round
//! runs every row once, in turn, so that a change of the machine's mood meets all of them; ratios are taken within a
//! round.

mod chart;
mod client;
mod error;
mod exchange;
mod figure;
mod histogram;
mod instructions;
mod load;
mod machine;
mod record;
mod row;
mod scale;
mod server;
mod spread;
mod suite;
mod swap;
mod table;
mod workload;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The same allocator as the host's, so that bare axum is compared and not the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What most rows answer with.
const BODY: &str = fezz_bench_work::HELLO;

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
    /// Numbers of connections, separated by commas, instead of each workload's own
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: Vec<u16>,
    /// What to measure, separated by commas, instead of everything
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds to wait for a moment in which nobody else uses the machine, before each run
    #[arg(long, default_value_t = 20)]
    patience: u64,
    /// Measures other hosts of functions too: those that are found
    #[arg(long)]
    peers: bool,
    /// Takes the figures into FOLDER: benchmarks.json, its chart, and the tables of benchmarks.md
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
    /// Count the request path's instructions, and hold them against the committed counts
    Check {
        /// The committed counts
        counts: PathBuf,
        /// Commits these instead
        #[arg(long)]
        update: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Some(Command::ServeAxum { data }) => server::serve_axum(data),
        Some(Command::ServeLibraries { functions }) => server::serve_libraries(functions),
        Some(Command::Check { counts, update }) => instructions::check(counts, *update),
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
