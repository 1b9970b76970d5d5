//! The `hhrf` program: settings, log, runtime, serve.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, ExitCode};
use std::time::Duration;

use hhrf::Inherited;
use hhrf::config::{self, Arguments, Command, Settings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A function that frees the host's memory, or the other way round, does not get away with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `EX_USAGE` of sysexits.h: the settings are wrong.
const USAGE: u8 = 64;
/// Threads beside those that calls may block: loads and shutdowns of functions.
const SPARE_THREADS: usize = 16;

/// The supervisor's `argv[0]`; it gives its children theirs.
const SUPERVISOR: &str = "hhrf: supervisor";

fn main() -> ExitCode {
    hhrf::name_process();
    let command = config::command(std::env::args_os());
    if is_child(&command) {
        // Whoever started the host may have left files open, and so may a function in the process that started this one.
        hhrf::close_inherited();
    }
    match command {
        Command::Probe { scratch } => probe(&scratch),
        Command::Worker if hhrf::worker() => ExitCode::SUCCESS,
        Command::Worker => ExitCode::FAILURE,
        Command::Print { text, ok } => {
            print(&text, ok);
            ExitCode::from(if ok { 0 } else { USAGE })
        }
        Command::Serve(arguments) => start(&arguments),
    }
}

/// Whether a host has started this process, which gets everything over its standard input.
const fn is_child(command: &Command) -> bool {
    match command {
        Command::Probe { .. } | Command::Worker => true,
        Command::Serve(arguments) => arguments.is_supervised(),
        Command::Print { .. } => false,
    }
}

fn start(arguments: &Arguments) -> ExitCode {
    let supervises = hhrf::SUPERVISES && arguments.wants_supervisor() && !arguments.is_supervised();
    if supervises && std::env::args_os().next().is_none_or(|name| name != SUPERVISOR) {
        // Only exec sets argv[0]. It returns if it fails; the process then keeps its old name.
        let program = hhrf::own_program();
        let _ = process::Command::new(program).arg0(SUPERVISOR).args(std::env::args_os().skip(1)).exec();
    }
    match config::load(arguments) {
        Ok(settings) if arguments.is_supervised() => supervised(settings),
        Ok(settings) if supervises => supervise(&settings),
        Ok(settings) => serve(settings, None),
        Err(problems) => {
            print(&problems.to_string(), false);
            ExitCode::from(USAGE)
        }
    }
}

/// Keeps a serving process, which is this program again.
fn supervise(settings: &Settings) -> ExitCode {
    hhrf::start_log(settings);
    if !settings.core_dumps() {
        // The hard limit stays: a later serving process may be asked for core dumps.
        let maximum = getrlimit(Resource::Core).maximum;
        limit_core_dumps(Rlimit { current: Some(0), maximum });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(hhrf::supervise(settings)),
        Err(error) => {
            tracing::error!("the supervisor's runtime cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves with what the supervisor hands over.
fn supervised(settings: Settings) -> ExitCode {
    match Inherited::receive() {
        Ok(inherited) => serve(settings, Some(inherited)),
        Err(error) => {
            print(&error.to_string(), false);
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: Settings, inherited: Option<Inherited>) -> ExitCode {
    hhrf::start_log(&settings);
    if !hhrf::SUPERVISES {
        tracing::warn!("serving in one process: the supervisor and isolated functions need Linux");
    }
    if rustix::process::geteuid().is_root() {
        tracing::warn!(
            "the host runs as root: functions in its process may do everything, and isolated ones may read what only \
             root may in the folders that their sandbox opens; give it a user of its own"
        );
    }
    raise_descriptor_limit();
    let maximum = if settings.core_dumps() { getrlimit(Resource::Core).maximum } else { Some(0) };
    limit_core_dumps(Rlimit { current: maximum, maximum });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(hhrf::runtime_thread_started)
        .max_blocking_threads(settings.blocking_threads() + SPARE_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(hhrf::serve(settings, inherited));
    // Threads that hang in a function are left behind: the process ends without them.
    runtime.shutdown_timeout(Duration::ZERO);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Each connection costs a descriptor, and the usual soft limit of 1,024 is there for programs that use `select`.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the limit of open files cannot be raised: {error}");
    }
}

/// A core dump has the secrets of all functions in it.
fn limit_core_dumps(limit: Rlimit) {
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::warn!("the limit of core dumps cannot be set: {error}");
    }
}

fn probe(scratch: &Path) -> ExitCode {
    let (verdict, passed) = hhrf::probe(std::io::stdin(), scratch);
    print(&verdict, true);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command line's own output. A closed pipe is not worth a panic.
fn print(text: &str, ok: bool) {
    let text = format!("{}\n", text.trim_end_matches('\n'));
    let _ = if ok {
        std::io::stdout().write_all(text.as_bytes())
    } else {
        std::io::stderr().write_all(text.as_bytes())
    };
}
