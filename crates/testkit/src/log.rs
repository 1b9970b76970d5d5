//! The host's log, followed while the host runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// One line of the host's JSON log.
#[derive(Clone, Debug)]
pub struct LogLine(pub Value);

impl LogLine {
    /// The message.
    pub fn message(&self) -> &str {
        self.field("message")
    }

    /// A field as text; empty if it is absent.
    pub fn field(&self, name: &str) -> &str {
        self.0["fields"][name].as_str().unwrap_or_default()
    }

    /// The level, as `ERROR` or `INFO`.
    pub fn level(&self) -> &str {
        self.0["level"].as_str().unwrap_or_default()
    }
}

/// All lines so far; grows while the host runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    lines: Vec<LogLine>,
    ended: bool,
}

impl Log {
    /// Reads `source` to its end, in a separate thread.
    pub(crate) fn follow(source: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let writer = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                writer.update(|state| state.lines.push(parse(&line)));
            }
            writer.update(|state| state.ended = true);
        });
        log
    }

    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }

    /// Waits for a line; none if the host exits without it, or after 20 s.
    pub(crate) fn wait_for(&self, matches: impl Fn(&LogLine) -> bool) -> Option<LogLine> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = state.lines.iter().find(|line| matches(line)) {
                return Some(line.clone());
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|_| !state.ended)?;
            state = changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }
}

/// Parses a line. One that is not JSON (a function's own output, a crash) becomes a message.
fn parse(line: &str) -> LogLine {
    LogLine(
        serde_json::from_str(line).unwrap_or_else(|_| serde_json::json!({ "fields": { "message": line } })),
    )
}
