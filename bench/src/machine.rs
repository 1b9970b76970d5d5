//! The machine: quiet moments, and its description in the report.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::usage::{busy_time, processor};

/// CPU share of other programs that counts as quiet: a clock tick or two, or the system's own chores.
pub(crate) const QUIET: f64 = 0.1;

/// Waits until no other program uses the machine, at most for `limit`.
pub(crate) fn await_quiet(limit: Duration) {
    const INTERVAL: Duration = Duration::from_millis(200);
    let end = Instant::now() + limit;
    while let Some(before) = busy_time().filter(|_| Instant::now() < end) {
        std::thread::sleep(INTERVAL);
        let used = busy_time().map_or(Duration::ZERO, |now| now.saturating_sub(before));
        if used.as_secs_f64() <= INTERVAL.as_secs_f64() * QUIET {
            return;
        }
    }
}

/// Processor, system, compiler, date, and the commit if known.
pub(crate) fn describe() -> String {
    let mut parts = vec![processor().unwrap_or_else(|| "unknown processor".to_owned())];
    parts.extend(output("uname", &["-sr"]));
    parts.extend(output("rustc", &["--version"]));
    parts.extend(output("date", &["-u", "+%Y-%m-%d"]));
    // "-dirty" if the tree holds changes: such a figure belongs to no commit.
    let commit = output("git", &["describe", "--always", "--dirty", "--exclude=*"]);
    parts.extend(commit.map(|commit| format!("commit {commit}")));
    parts.join("; ")
}

/// What a command prints; none if it fails or prints nothing.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
}
