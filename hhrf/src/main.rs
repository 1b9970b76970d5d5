//! The `hhrf` program: settings, log, runtime, serve.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, ExitCode};
use std::time::Duration;

use hhrf::config::{self, Arguments, Command, ConfigError, Settings};
use hhrf::{Inherited, SettingsChoice};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A function that frees the host's memory, or the other way round, does not get away with it.
#[global_allocator]
static ALLOCATOR: fezz_runtime::Allocator = fezz_runtime::Allocator;

/// `EX_USAGE` of sysexits.h: the settings are wrong.
const USAGE: u8 = 64;
/// Threads beside those that calls may block: loads and shutdowns of functions.
const SPARE_THREADS: usize = 16;

/// The supervisor's `argv[0]`; it gives its children theirs.
const SUPERVISOR: &str = "hhrf: supervisor";
/// That of a process that serves without a supervisor.
const SERVING: &str = "hhrf: serving";

/// Exit statuses of processes in which functions were loaded, which do not end by returning.
const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    hhrf::name_process();
    let command = config::command(std::env::args_os());
    if is_child(&command) {
        // Whoever started the host may have left files open, and so may a function in the process that started this one.
        hhrf::close_inherited();
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    hhrf::thread_keys::install();
    match command {
        Command::Probe { scratch } => probe(&scratch),
        Command::Worker => hhrf::end_process(if hhrf::worker() { SUCCESS } else { FAILURE }),
        Command::Print { text, ok } => {
            print(&text, ok);
            ExitCode::from(if ok { 0 } else { USAGE })
        }
        Command::Serve(arguments) => {
            let status = start(&arguments);
            hhrf::flush_log();
            status
        }
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
    if arguments.is_supervised() {
        return supervised(arguments);
    }
    let supervises = hhrf::SUPERVISES && arguments.wants_supervisor();
    if supervises {
        start_again_as(SUPERVISOR);
    } else if !hhrf::static_tls::is_reserved() {
        start_again_as(SERVING);
    }
    match config::load(arguments, SettingsChoice::CurrentOrLastGood, None) {
        Ok(settings) if supervises => supervise(&settings),
        Ok(settings) => serve(settings, None),
        Err(problems) => wrong_settings(&problems),
    }
}

fn wrong_settings(problems: &ConfigError) -> ExitCode {
    print(&problems.to_string(), false);
    ExitCode::from(USAGE)
}

/// Executes this program again under another name, and with room for the thread-locals of libraries: only exec sets
/// `argv[0]`, and only at its start does a process set that room aside. Returns if that has been done, or if it fails; the
/// process then goes on as it is.
fn start_again_as(name: &str) {
    let own = std::env::args_os().next().unwrap_or_default();
    if own == name {
        return;
    }
    let mut program = process::Command::new(hhrf::own_program());
    program.arg0(name).args(std::env::args_os().skip(1)).envs(hhrf::static_tls::variable());
    program.env_remove(hhrf::PROGRAM_VARIABLE);
    if let Some(started) = hhrf::as_started(&own) {
        program.env(hhrf::PROGRAM_VARIABLE, started);
    }
    let _ = program.exec();
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
fn supervised(arguments: &Arguments) -> ExitCode {
    let inherited = match Inherited::receive() {
        Ok(inherited) => inherited,
        Err(error) => {
            print(&error.to_string(), false);
            return ExitCode::FAILURE;
        }
    };
    match config::load(arguments, inherited.settings, inherited.state_dir.as_deref()) {
        Ok(settings) => serve(settings, Some(inherited)),
        Err(problems) => wrong_settings(&problems),
    }
}

fn serve(settings: Settings, inherited: Option<Inherited>) -> ExitCode {
    // Before there are threads. From here on functions and the C library find next to nothing in it.
    let taken = hhrf::take_environment();
    hhrf::start_log(&settings);
    if let Err(error) = taken {
        tracing::warn!(
            "functions in the host's process can read its environment, which cannot be taken out: {error}"
        );
    }
    hhrf::protect_standard_streams();
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
        .thread_stack_size(hhrf::THREAD_STACK_BYTES)
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
        Ok(()) => {
            hhrf::flush_log();
            hhrf::end_process(SUCCESS)
        }
        Err(error) => {
            tracing::error!("{error}");
            hhrf::flush_log();
            hhrf::end_process(FAILURE)
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
    hhrf::end_process(if passed { SUCCESS } else { FAILURE })
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
