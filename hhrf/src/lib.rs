//! HHRF, the host of fezz: serves native Rust functions over HTTP.
//!
//! `http/app.rs` shows the stack that a request passes, on one screen; ARCHITECTURE.md tells why it has this shape. The
//! modules import each other in one direction, from the last line of this list upwards: a test holds that.

#![forbid(unsafe_code)]

mod admin;
mod call;
mod catalog;
pub mod config;
mod function;
mod http;
mod load;
mod logging;
mod serve;
mod supervise;

use std::process::ExitCode;

pub use catalog::{own_program, probe};
pub use fezz_isolation::process::run as worker;
pub use fezz_runtime::sys::scheduling::runtime_thread_started;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub use fezz_runtime::sys::thread_keys;
pub use fezz_runtime::sys::{
    SUPERVISES, THREAD_STACK_BYTES, close_inherited, end_process, static_tls, take_environment,
};
pub use serve::{ListenError, ServeError};
pub use supervise::{InheritError, Inherited, PROGRAM_VARIABLE, SettingsChoice, as_started};

use config::Settings;

/// Names this process `hhrf` in `ps` and `/proc/PID/comm`: one that runs `/proc/self/exe` would be called `exe`.
pub fn name_process() {
    fezz_runtime::sys::set_process_name(c"hhrf");
}

/// Starts the log of this process; later calls change nothing.
pub fn start_log(settings: &Settings) {
    logging::start(&settings.log);
    if let Some(reason) = settings.rejected() {
        tracing::error!("the settings file is not in force, the last good one stands in for it: {reason}");
    }
}

/// Stands between the functions of this process and the readers of its standard output and error. To be called after
/// [`start_log`].
pub fn protect_standard_streams() {
    logging::stand_between();
}

/// Waits a moment until the last lines of the log are written; call it before the process ends.
pub fn flush_log() {
    logging::flush();
}

/// Serves until a signal asks to end, or until the supervisor orders a hand-over; then drains.
///
/// # Errors
/// Where serving cannot begin.
pub async fn serve(settings: Settings, inherited: Option<Inherited>) -> Result<(), ServeError> {
    serve::serve(settings.serve, inherited).await
}

/// Binds the listening sockets and keeps a process that serves on them, until a signal asks to end.
pub async fn supervise(settings: &Settings) -> ExitCode {
    match serve::bind(&settings.serve.addresses) {
        Ok(sockets) => supervise::supervise(&settings.supervise, sockets).await,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
