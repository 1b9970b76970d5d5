//! The log: structured, on standard error; for people where that is a terminal, else a JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// How the log is written.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What is logged.
    pub(crate) filter: Targets,
    /// How its lines look.
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the whole process; later calls change nothing.
pub(crate) fn start(options: &Options) {
    let terminal = std::io::stderr().is_terminal();
    let json = match options.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if json { lines.json().boxed() } else { lines.with_ansi(terminal).boxed() };
    // Fails only where a log has been started before.
    let _ = registry().with(lines.with_filter(options.filter.clone())).try_init();
}

/// Reads a filter: a level, or `target=level` pairs separated by commas.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn filter(text: &str) -> Result<Targets, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not a log filter; write a level (error, warn, info, debug, trace, off) or `hhrf=debug,info`")
    })
}
