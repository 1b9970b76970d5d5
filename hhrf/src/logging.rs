//! The log: structured, on standard error; for people where that is a terminal, else a JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::config::{LogFormat, Settings};

/// Starts logging for the whole process; later calls change nothing.
pub fn start(settings: &Settings) {
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.log_format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if json { lines.json().boxed() } else { lines.with_ansi(terminal).boxed() };
    // Fails only where a log has been started before.
    let _ = registry().with(lines.with_filter(settings.log.clone())).try_init();
}

/// Reads a filter: a level, or `target=level` pairs separated by commas.
///
/// # Errors
/// What is wrong with it.
pub fn filter(text: &str) -> Result<Targets, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not a log filter; write a level (error, warn, info, debug, trace, off) or `hhrf=debug,info`")
    })
}
