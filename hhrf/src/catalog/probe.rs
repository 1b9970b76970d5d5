//! Loads a library in a process of its own before the host does: its constructors may crash, hang or exit.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::ffi::Library;

/// Begins the line in which the probe process says why it refuses a library; all else is the library's own output.
const VERDICT: &str = "hhrf-probe: ";
/// No more than this of a probe's output is kept.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Why a library did not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("the probe process cannot be run: {0}")]
    Run(#[from] io::Error),
    #[error("{0}")]
    Refused(String),
    #[error("the library did not load within {} ms; does a constructor of its hang?", .0.as_millis())]
    Timeout(Duration),
    #[error("the library crashed or ended the process that loaded it: {0}")]
    Crashed(ExitStatus),
}

/// Starts probe processes.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    program: PathBuf,
    timeout: Duration,
}

impl Prober {
    pub(crate) fn new(timeout: Duration) -> io::Result<Self> {
        // Linux: this very program, even after its file was replaced.
        let own = Path::new("/proc/self/exe");
        let program = if own.exists() { own.to_owned() } else { std::env::current_exe()? };
        Ok(Self { program, timeout })
    }

    /// Loads `library` in a process with an empty environment and a time limit.
    pub(crate) async fn check(&self, library: &Path) -> Result<(), ProbeError> {
        let mut child = Command::new(&self.program)
            .arg("probe")
            .arg(library)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take();
        let verdict = async {
            let output = read(output).await;
            (child.wait().await, output)
        };
        let (status, output) = tokio::time::timeout(self.timeout, verdict)
            .await
            .map_err(|_| ProbeError::Timeout(self.timeout))?;
        let status = status?;
        let refusal = output.lines().rev().find_map(|line| line.strip_prefix(VERDICT));
        match refusal {
            Some("ok") if status.success() => Ok(()),
            Some(reason) if status.code() == Some(1) => Err(ProbeError::Refused(reason.to_owned())),
            _ => Err(ProbeError::Crashed(status)),
        }
    }
}

/// The last of what comes, without ever holding much of it.
async fn read(output: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = Vec::new();
    if let Some(mut output) = output {
        while output.read_buf(&mut kept).await.is_ok_and(|read| read > 0) {
            let surplus = kept.len().saturating_sub(OUTPUT_BYTES);
            kept.drain(..surplus);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The probe process itself: loads `library`, checks what it exports, and answers with the line that the host reads
/// and whether it passed.
#[must_use]
pub fn run(library: &Path) -> (String, bool) {
    match Library::open(library) {
        Ok(_) => (format!("\n{VERDICT}ok"), true),
        // One line, whatever the loader's message holds.
        Err(error) => (format!("\n{VERDICT}{}", error.to_string().replace('\n', " ")), false),
    }
}
