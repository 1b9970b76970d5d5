//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use fezz_isolation::protocol::WORKER_ARGUMENT;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve functions.
    Serve(Arguments),
    /// Load a library, as the host's child, to see whether it can be.
    Probe {
        /// An empty folder for the function to write to.
        scratch: PathBuf,
    },
    /// Serve one isolated function, as the host's child.
    Worker,
    /// Print this text and end: help, version, or what is wrong.
    Print {
        /// What to print.
        text: String,
        /// Whether it was asked for.
        ok: bool,
    },
}

/// Serves native functions, dropped as folders, over HTTP.
#[derive(Debug, Parser)]
#[command(name = "hhrf", version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Sub>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Serve functions (the default)
    Serve(Arguments),
    /// Load the library that standard input tells of; the host runs this for every new library
    #[command(hide = true)]
    Probe {
        /// An empty folder for the function to write to
        scratch: PathBuf,
    },
}

/// The settings that have flags, as they were typed; the environment (HHRF_…) and the file have all of them.
#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// Folder of the deployed functions [default: ./functions]
    #[arg(long, value_name = "DIR")]
    pub(super) functions: Option<String>,
    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// Address of the admin listener (health, functions, metrics), or off [default: 127.0.0.1:3001]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// Do not watch the functions folder; changes are found by the rescans alone
    #[arg(long)]
    pub(super) no_watch: bool,
    /// Folder of the host's own files: library store, functions' data [default: ./.fezz]
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<String>,
    /// What is logged: a level, or `target=level` pairs [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<String>,
    /// auto, text or json [default: auto]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
    /// Serve in this very process, for debugging: a crash is the end
    #[arg(long)]
    pub(super) no_supervisor: bool,
    /// Take the sockets from the supervisor that started this process
    #[arg(long, hide = true)]
    pub(super) supervised: bool,
    /// File of all settings [default: config/hhrf.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl Arguments {
    /// Whether this process was started by a supervisor.
    #[must_use]
    pub const fn is_supervised(&self) -> bool {
        self.supervised
    }

    /// Whether this process is to be a supervisor.
    #[must_use]
    pub const fn wants_supervisor(&self) -> bool {
        !self.no_supervisor
    }
}

/// Reads the command line.
pub fn command(arguments: impl IntoIterator<Item = OsString>) -> Command {
    let arguments: Vec<_> = arguments.into_iter().collect();
    // Only the host says this, and a worker is small: reading the command line in earnest costs it 68 KiB for good.
    if arguments.get(1).is_some_and(|first| first == WORKER_ARGUMENT) {
        return Command::Worker;
    }
    match CommandLine::try_parse_from(arguments) {
        Ok(CommandLine { command: None, arguments }) => Command::Serve(arguments),
        Ok(CommandLine { command: Some(Sub::Serve(arguments)), .. }) => Command::Serve(arguments),
        Ok(CommandLine { command: Some(Sub::Probe { scratch }), .. }) => Command::Probe { scratch },
        Err(error) => Command::Print { text: error.render().to_string(), ok: !error.use_stderr() },
    }
}
