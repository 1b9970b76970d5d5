//! The supervisor: a small process that loads no function and keeps a serving process running.
//!
//! It holds the listening sockets and hands them to a serving process, so that connections wait in their backlog whatever
//! happens to that process. A serving process that crashes is replaced at once. The crash record tells which function was
//! running in the thread that crashed; a build that crashes repeatedly is put into quarantine. A serving process that is
//! worn out, or whose program was replaced, hands over: a new one starts, and when it is ready the old one finishes what it
//! has and ends. Signals to the supervisor are passed on.

mod child;
mod crashes;
mod inherit;
mod last_output;
mod message;
mod program;
mod supervisor;
mod systemd;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub use inherit::{InheritError, Inherited};
pub(crate) use inherit::{Orders, SupervisorHandle};
pub use message::SettingsChoice;
pub(crate) use message::{EndSignal, Order};
pub use program::{PROGRAM_VARIABLE, as_started};
use supervisor::Supervisor;

/// How the supervisor judges serving processes.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// After how many crashes a function is put into quarantine.
    pub(crate) quarantine_crashes: u32,
    /// How long a crash counts.
    pub(crate) quarantine_window: Duration,
    /// Whether it moves to worker processes then, or is refused.
    pub(crate) quarantine_isolates: bool,
    /// How long a serving process may show no sign of life.
    pub(crate) watchdog: Duration,
    /// The resident memory with which a serving process is replaced, in bytes; 0 for any.
    pub(crate) memory_bytes: u64,
    /// Whether a program that was replaced is started.
    pub(crate) watch_program: bool,
    /// How long a serving process may take to end.
    pub(crate) drain: Duration,
    /// How much longer after a hand-over.
    pub(crate) hand_over: Duration,
    /// How long a serving process may take until it accepts connections.
    pub(crate) start: Duration,
    /// The folder of the host's own files.
    pub(crate) state_dir: PathBuf,
}

/// The listening sockets. They stay open for as long as the supervisor lives.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) listener: TcpListener,
    pub(crate) admin: Option<TcpListener>,
}

/// Supervises until a signal asks to end, and answers with the status of the last serving process.
pub(crate) async fn supervise(options: &Options, sockets: Sockets) -> ExitCode {
    match Supervisor::begin(options, sockets) {
        Ok(supervisor) => supervisor.run().await,
        Err(error) => {
            tracing::error!("the serving process cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}
