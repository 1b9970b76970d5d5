//! The log: structured, on standard error; for people where that is a terminal, else a JSON object a line.
//!
//! Logging waits for nobody who reads it ([`writer`]), and sums up what clients can cause ([`summary`]).

mod standard_streams;
mod summary;
mod writer;

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::Duration;

use tracing_subscriber::filter::{FilterExt, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use summary::Summaries;
use writer::LogWriter;

/// How long the end of a process waits for its last lines to be read.
const LAST_LINES: Duration = Duration::from_millis(500);

static WRITER: OnceLock<LogWriter> = OnceLock::new();

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
    let summaries = Summaries::default();
    // Without a thread to be had there will be no runtime either, which says so.
    let Ok(writer) = own_copy(std::io::stderr())
        .and_then(|stderr| LogWriter::start("standard error", stderr, summaries.clone()))
    else {
        return;
    };
    let lines = fmt::layer().with_writer(writer.clone());
    let lines = if json { lines.json().boxed() } else { lines.with_ansi(terminal).boxed() };
    let filter = options.filter.clone().and(summaries);
    // Fails only where a log has been started before.
    if registry().with(lines.with_filter(filter)).try_init().is_ok() {
        let _ = WRITER.set(writer);
    }
}

/// Stands between the functions of this process and its standard output and error, whose readers cannot stop them then. The
/// log must have been started.
pub(crate) fn stand_between() {
    let Some(error) = WRITER.get().cloned() else { return };
    let output = own_copy(std::io::stdout())
        .and_then(|stdout| LogWriter::start("standard output", stdout, Summaries::default()));
    if let Err(error) = output.and_then(|output| standard_streams::replace(output, error)) {
        tracing::warn!(
            "functions write to standard output and error themselves, and may have to wait: {error}"
        );
    }
}

/// Another descriptor for the same file, which stays when the first one is replaced.
fn own_copy(stream: impl AsFd) -> std::io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

/// How many lines of the log were dropped since standard error was not read.
pub(crate) fn dropped() -> u64 {
    WRITER.get().map_or(0, LogWriter::all_dropped)
}

/// Passes on lines that another process has written.
pub(crate) fn pass_on(lines: &[u8]) {
    if let (Some(writer), false) = (WRITER.get(), lines.is_empty()) {
        // Never fails.
        let _ = writer.clone().write_all(lines);
    }
}

/// Waits for the last lines to be written, for a moment. To be called before the process ends.
pub(crate) fn flush() {
    if let Some(writer) = WRITER.get() {
        let _ = writer.flush(LAST_LINES);
    }
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
