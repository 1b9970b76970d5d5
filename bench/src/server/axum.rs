//! The axum servers, bare and with middleware: programs that print their address.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Process, await_address, built, lines};
use crate::error::BenchError;

/// Starts this program as the server of bare axum handlers.
pub(super) fn start(data: &Path) -> Result<(SocketAddr, Process), BenchError> {
    start_own("bare axum", "serve-axum", data)
}

/// Starts this program with one of its hidden commands.
pub(super) fn start_own(
    name: &str,
    command: &str,
    folder: &Path,
) -> Result<(SocketAddr, Process), BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
    start_program(name, Command::new(own).arg(command).arg(folder))
}

/// Starts axum with the WebSockets of the host's function, at the same path.
pub(crate) fn sockets() -> Result<(SocketAddr, Process), BenchError> {
    start_program("axum with WebSockets", &mut Command::new(built("examples/bench_sockets_listener")?))
}

/// Starts axum with middleware. Its log is read and thrown away, as the host's is.
pub(super) fn start_with_middleware(data: &Path) -> Result<(SocketAddr, Process), BenchError> {
    let program = built("examples/bench_axum_middleware")?;
    let (address, mut process) =
        start_program("axum with middleware", Command::new(program).arg(data).stderr(Stdio::piped()))?;
    drop(lines(process.0.stderr.take()));
    Ok((address, process))
}

fn start_program(name: &str, command: &mut Command) -> Result<(SocketAddr, Process), BenchError> {
    let mut process = Process::start(command.stdout(Stdio::piped()))?;
    let lines = lines(process.0.stdout.take());
    let address = await_address(name, &lines, |line| line.parse().ok())?;
    Ok((address, process))
}

/// Serves the bare handlers until the process is killed.
pub(crate) fn serve(data: &Path) -> Result<(), BenchError> {
    let handlers = fezz_bench_axum::handlers(data).map_err(|error| BenchError::Answer(error.to_string()))?;
    fezz_bench_axum::serve(|| handlers).map_err(BenchError::io("serving"))
}
