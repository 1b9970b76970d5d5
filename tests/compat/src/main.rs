//! `just compat`: the whole suite.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use fezz_compat::Options;

/// Compares applications on axum's own listener with the same applications on the host.
#[derive(Parser)]
struct Arguments {
    /// Sends each request only as it is written, as the short version in the test suite does.
    #[arg(long)]
    short: bool,
    /// Differences to show of each application.
    #[arg(long, default_value_t = 10)]
    show: usize,
    /// Compares the listener with itself: finds answers that differ by chance.
    #[arg(long)]
    itself: bool,
    /// These applications alone.
    apps: Vec<String>,
}

fn main() -> io::Result<ExitCode> {
    let Arguments { short, show, itself, apps } = Arguments::parse();
    let equal = fezz_compat::run(&Options { full: !short, apps, show, itself })?;
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
