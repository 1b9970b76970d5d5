//! The supervisor: a small process that loads no function, and keeps one that serves.
//!
//! It binds the sockets and hands them to a serving process, so that connections wait in their queue whatever becomes of
//! that. A serving process that crashes is replaced at once; the in-flight record tells which function was running in
//! the thread that crashed, and one that does so again and again is put into quarantine. A serving process that is worn
//! out, or whose program was replaced, is handed over from: a new one starts, and when it is ready the old one finishes
//! what it has and ends. A signal to the supervisor is one to the serving process.

mod child;
mod inherit;
mod life;
mod message;
mod program;
mod quarantine;
mod sockets;
mod systemd;

use std::process::ExitCode;

pub(crate) use inherit::{HandOver, Supervisor};
pub use inherit::{InheritError, Inherited};
pub(crate) use quarantine::Quarantined;
use sockets::Sockets;

use crate::config::Settings;

/// How the supervisor judges serving processes.
#[derive(Clone, Debug)]
pub(crate) struct SupervisorSettings {
    /// After how many crashes a function is put into quarantine.
    pub(crate) quarantine_crashes: u32,
    /// Whether it moves to worker processes then, or is refused.
    pub(crate) quarantine_isolates: bool,
    /// How long a serving process may show no sign of life.
    pub(crate) watchdog: std::time::Duration,
    /// With how much memory a serving process is worn out; 0 for any.
    pub(crate) memory_bytes: u64,
    /// Whether a program that was replaced is started.
    pub(crate) watch_program: bool,
}

/// Supervises until a signal asks to end, and answers with the status of the last serving process.
pub async fn supervise(settings: &Settings) -> ExitCode {
    let sockets = match Sockets::bind(settings).await {
        Ok(sockets) => sockets,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match life::Life::begin(settings, sockets) {
        Ok(life) => life.live().await,
        Err(error) => {
            tracing::error!("the serving process cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}
