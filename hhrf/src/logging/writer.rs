//! The log's way to standard error: a bounded buffer, and a thread that writes it.
//!
//! Whoever logs never waits. If nobody reads standard error the thread does; the buffer fills, further lines are dropped and
//! counted, and a line says how many once it flows again.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::summary::Summaries;

/// How long the line of an error waits to be written: its process may be about to crash.
const ERROR_LINE: Duration = Duration::from_millis(50);
/// The most bytes that wait to be written; as many may be on their way beside them.
const MAX_PENDING: usize = 1 << 20;

/// Takes lines. Its clones share one buffer.
#[derive(Clone, Debug)]
pub(super) struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Buffer {
    pending: Vec<u8>,
    /// Lines that found no room since the last report, and since the start.
    dropped: u64,
    all_dropped: u64,
    /// The thread has taken what was pending, and writes it.
    writing: bool,
    /// A line waited in vain to be written, and nothing has been written since.
    stuck: bool,
}

impl LogWriter {
    /// Starts the thread, which writes to `to`, called `name`, and reports summaries when they are due.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub(super) fn start(
        name: &'static str,
        to: impl Write + Send + 'static,
        summaries: Summaries,
    ) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let this = Self(Arc::clone(&shared));
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.run(name, to, &summaries))?;
        Ok(this)
    }

    /// How many lines have found no room.
    pub(super) fn all_dropped(&self) -> u64 {
        self.0.lock().all_dropped
    }

    /// Waits until everything is written, but not much longer than `patience`. Whether it was.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut buffer = self.0.lock();
        while buffer.writing || !buffer.pending.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            buffer =
                self.0.written.wait_timeout(buffer, left).map_or_else(|e| e.into_inner().0, |found| found.0);
        }
        true
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, name: &str, mut to: impl Write, summaries: &Summaries) {
        let mut taken = Vec::new();
        loop {
            let dropped = self.take(&mut taken, summaries.next_due());
            // A log that cannot be written is no reason to end, and there is nowhere to say so.
            let _ = to.write_all(&taken).and_then(|()| to.flush());
            taken.clear();
            taken.shrink_to(MAX_PENDING / 16);
            if dropped > 0 {
                tracing::warn!(dropped, "lines were dropped: {name} was not read");
            }
            summaries.report(Instant::now());
        }
    }

    /// Waits for lines, or until `due`, and takes them out. Answers with how many were dropped before the last report.
    fn take(&self, taken: &mut Vec<u8>, due: Option<Instant>) -> u64 {
        let mut buffer = self.lock();
        buffer.writing = false;
        buffer.stuck = false;
        self.written.notify_all();
        while buffer.pending.is_empty() {
            let Some(due) = due else {
                buffer = self.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            buffer =
                self.filled.wait_timeout(buffer, left).map_or_else(|e| e.into_inner().0, |found| found.0);
        }
        std::mem::swap(taken, &mut buffer.pending);
        buffer.writing = true;
        std::mem::take(&mut buffer.dropped)
    }
}

impl Write for LogWriter {
    /// A whole line. It is taken or dropped as a whole, and never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut buffer = self.0.lock();
        if buffer.pending.len() + line.len() > MAX_PENDING {
            buffer.dropped += 1;
            buffer.all_dropped += 1;
        } else {
            buffer.pending.extend_from_slice(line);
            if !buffer.writing {
                self.0.filled.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = LineWriter;

    fn make_writer(&self) -> LineWriter {
        LineWriter { to: self.clone(), is_error: false }
    }

    fn make_writer_for(&self, line: &Metadata<'_>) -> LineWriter {
        LineWriter { to: self.clone(), is_error: *line.level() == Level::ERROR }
    }
}

/// Writes one line of the log.
#[derive(Debug)]
pub(super) struct LineWriter {
    to: LogWriter,
    is_error: bool,
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let count = self.to.write(line)?;
        // Only once, if nobody reads.
        if self.is_error && !self.to.0.lock().stuck && !self.to.flush(ERROR_LINE) {
            self.to.0.lock().stuck = true;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Gives away what it is told to write, once it may.
    struct Gate {
        open: mpsc::Receiver<()>,
        out: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.out.send(bytes.to_owned()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_beyond_the_buffer_are_dropped_and_never_waited_for() {
        let (opener, open) = mpsc::channel();
        let (out, written) = mpsc::channel();
        let mut writer =
            LogWriter::start("a test", Gate { open, out }, Summaries::default()).expect("a thread");
        let line = [b'x'; 1024];
        for _ in 0..3 * MAX_PENDING / line.len() {
            writer.write_all(&line).expect("taken or dropped");
        }
        assert!(!writer.flush(Duration::from_millis(1)));
        drop((0..3).map(|_| opener.send(())).collect::<Vec<_>>());
        assert!(writer.flush(Duration::from_secs(10)));
        let sum: usize = written.try_iter().map(|bytes| bytes.len()).sum();
        assert!(sum.is_multiple_of(line.len()) && (MAX_PENDING..=2 * MAX_PENDING).contains(&sum), "{sum}");
    }

    #[test]
    fn a_flush_waits_for_what_was_logged() {
        let (opener, open) = mpsc::channel();
        let (out, written) = mpsc::channel();
        let mut writer =
            LogWriter::start("a test", Gate { open, out }, Summaries::default()).expect("a thread");
        opener.send(()).expect("it runs");
        writer.write_all(b"a line\n").expect("taken");
        assert!(writer.flush(Duration::from_secs(10)));
        assert_eq!(written.try_recv().expect("written"), b"a line\n");
    }
}
