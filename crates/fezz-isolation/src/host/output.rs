//! A worker's standard output and error: logged line by line, rate-limited by a token bucket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Rate at which the bucket refills.
const LINES_PER_SECOND: f64 = 100.0;
/// Capacity of the bucket, in lines.
const BURST: f64 = 200.0;
/// Longest line, in bytes; a longer one is split.
const LINE_BYTES: usize = 8 << 10;
/// Number of last lines that are kept for a crash report.
const MAX_LAST_LINES: usize = 20;

/// The output of one worker.
#[derive(Debug)]
pub(super) struct Output {
    function: String,
    worker: u32,
    state: Mutex<OutputState>,
}

#[derive(Debug)]
struct OutputState {
    last: VecDeque<String>,
    /// Lines that may be logged now.
    tokens: f64,
    refilled_at: Instant,
    /// Lines dropped since the last one that was logged.
    dropped: u64,
}

impl Output {
    pub(super) fn new(function: String, worker: u32) -> Arc<Self> {
        let state =
            OutputState { last: VecDeque::new(), tokens: BURST, refilled_at: Instant::now(), dropped: 0 };
        Arc::new(Self { function, worker, state: Mutex::new(state) })
    }

    /// Logs the lines of `source` until its end.
    pub(super) async fn forward(self: Arc<Self>, source: impl AsyncRead + Unpin, stream: &'static str) {
        let mut source = source;
        let mut pending = Vec::new();
        loop {
            let read = source.read_buf(&mut pending).await.unwrap_or_default();
            while let Some(line) = next_line(&mut pending, read == 0) {
                self.line(stream, &line);
            }
            if read == 0 {
                return;
            }
        }
    }

    /// The last lines.
    pub(super) fn last(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).last.iter().cloned().collect()
    }

    fn line(&self, stream: &'static str, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        let (function, worker) = (self.function.as_str(), self.worker);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = state.take_token(Instant::now());
        let dropped = if allowed { std::mem::take(&mut state.dropped) } else { 0 };
        state.last.push_back(line.clone());
        if state.last.len() > MAX_LAST_LINES {
            state.last.pop_front();
        }
        drop(state);
        if dropped > 0 {
            tracing::warn!(function, worker, dropped, "lines of the worker's output were not logged");
        }
        if allowed {
            tracing::info!(function, worker, stream, "{line}");
        }
    }
}

impl OutputState {
    fn take_token(&mut self, now: Instant) -> bool {
        let passed = now.duration_since(self.refilled_at).as_secs_f64();
        self.refilled_at = now;
        self.tokens = (self.tokens + passed * LINES_PER_SECOND).min(BURST);
        if self.tokens < 1.0 {
            self.dropped += 1;
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// Takes the first line out of `pending`; at the end of the output also one without a line break.
fn next_line(pending: &mut Vec<u8>, at_end: bool) -> Option<Vec<u8>> {
    let line_break = pending.iter().position(|byte| *byte == b'\n');
    match line_break {
        Some(end) => {
            let mut line: Vec<_> = pending.drain(..=end).collect();
            line.pop();
            Some(line)
        }
        None if pending.len() >= LINE_BYTES || (at_end && !pending.is_empty()) => {
            Some(std::mem::take(pending))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_without_line_breaks() {
        let output = Output::new("f@1.0.0".to_owned(), 1);
        let text: String = (0..30).map(|line| format!("line {line}\n")).collect();
        Arc::clone(&output).forward(format!("{text}cut").as_bytes(), "stderr").await;
        let last = output.last();
        assert_eq!(last.len(), MAX_LAST_LINES);
        assert_eq!((last[0].as_str(), last[MAX_LAST_LINES - 1].as_str()), ("line 11", "cut"));
    }

    #[test]
    fn lines_over_the_rate_are_dropped_and_counted() {
        let now = Instant::now();
        let mut state = OutputState { last: VecDeque::new(), tokens: BURST, refilled_at: now, dropped: 0 };
        let allowed = (0..1000).filter(|_| state.take_token(now)).count();
        assert_eq!((allowed, state.dropped), (200, 800));
        assert!(state.take_token(now + Duration::from_millis(20)));
    }
}
