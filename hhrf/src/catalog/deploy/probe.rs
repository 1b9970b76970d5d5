//! Probing a library: a child process loads it before the host does, since its constructors may crash, hang or exit.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fezz_isolation::host::{Plan, TemporaryFolders};
use fezz_isolation::sandbox::{self, Confinement};
use fezz_runtime::Variables;
use fezz_runtime::ffi::{HostTable, Identity, Library};
use fezz_runtime::sys::die_with_parent;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::function::FunctionKey;

/// Prefix of the probe process's verdict line; all other lines are the library's own output.
const VERDICT: &str = "hhrf-probe: ";
/// Follows it if the library is valid, but its `fezz_init` failed.
const INIT: &str = "init: ";
/// No more than this of a probe's output is kept.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Why a library did not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("the probe process cannot be run: {0}")]
    Run(#[from] io::Error),
    #[error("{0}")]
    Refused(String),
    /// May succeed later: `fezz_init` may need a server that is down.
    #[error("{0}")]
    Init(String),
    #[error("the library did not load within {} ms; does a constructor of its hang?", .0.as_millis())]
    Timeout(Duration),
    #[error("the library crashed or ended the process that loaded it: {0}")]
    Crashed(ExitStatus),
}

/// Starts probe processes.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    program: PathBuf,
    /// Makes a data directory for each probe that runs.
    scratch: Arc<TemporaryFolders>,
    timeout: Duration,
}

/// The program that this process runs. On Linux it is just that, even after its file was replaced.
#[must_use]
pub fn own_program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or(own) }
}

impl Prober {
    pub(crate) fn new(timeout: Duration, state: &Path) -> io::Result<Self> {
        let scratch = Arc::new(TemporaryFolders::below(std::path::absolute(state.join("probe"))?));
        Ok(Self { program: own_program(), scratch, timeout })
    }

    /// Loads the library and runs its `fezz_init`, in a process with an empty environment and a time limit, and under
    /// what holds for the function's workers, if it has any.
    pub(crate) async fn check(
        &self,
        mut subject: Subject<'_>,
        isolation: Option<&Plan>,
    ) -> Result<(), ProbeError> {
        let scratch = self.scratch.create()?;
        subject.confinement = isolation.map(|plan| plan.confinement(&subject.library, scratch.path()));
        let mut child = Command::new(&self.program)
            .arg0(format!("hhrf: probe {}@{}", subject.id, subject.version))
            .arg("probe")
            .arg(scratch.path())
            .env_clear()
            // The library's only folder, as a worker has one for temporary files.
            .env("TMPDIR", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let subject = serde_json::to_vec(&subject).map_err(io::Error::from)?;
        let verdict = async {
            if let Some(mut input) = input {
                // A probe that has died already says so by its status.
                let _ = input.write_all(&subject).await;
            }
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
            Some(reason) if status.code() == Some(1) => Err(match reason.strip_prefix(INIT) {
                Some(reason) => ProbeError::Init(reason.to_owned()),
                None => ProbeError::Refused(reason.to_owned()),
            }),
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

/// A probe process's standard input. Not arguments, which every user can read: variables may be secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Subject<'a> {
    library: Cow<'a, Path>,
    id: Cow<'a, str>,
    version: Cow<'a, str>,
    variables: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    confinement: Option<Confinement>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(library: &'a Path, key: &'a FunctionKey, variables: &'a Variables) -> Self {
        Self {
            library: library.into(),
            id: key.id.as_str().into(),
            version: key.version.as_str().into(),
            variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            confinement: None,
        }
    }
}

/// The probe process itself: loads the library that `subject` names, checks what it exports, runs its `fezz_init` with
/// `scratch` as its data directory, and answers with the line that the host reads and whether it passed.
#[must_use]
pub fn run(subject: impl io::Read, scratch: &Path) -> (String, bool) {
    // A host that was killed cannot kill its probes, and a constructor may hang for ever. (The signal comes when the
    // thread ends that started the probe; that one waits for it.) Without it the probe works as well.
    let _ = die_with_parent();
    match load(subject, scratch) {
        Ok(()) => (format!("\n{VERDICT}ok"), true),
        // One line, whatever the loader's message holds.
        Err(reason) => (format!("\n{VERDICT}{}", reason.replace('\n', " ")), false),
    }
}

fn load(subject: impl io::Read, scratch: &Path) -> Result<(), String> {
    let subject: Subject<'static> = serde_json::from_reader(subject)
        .map_err(|error| format!("the probe cannot read its input: {error}"))?;
    if let Some(confinement) = &subject.confinement {
        sandbox::enter(confinement).map_err(|error| error.to_string())?;
    }
    let library = Library::open(&subject.library).map_err(|error| error.to_string())?;
    let variables =
        subject.variables.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned()));
    let table = HostTable::leak(Identity {
        id: subject.id.into_owned(),
        version: subject.version.into_owned(),
        data_dir: scratch.to_owned(),
        variables: variables.collect(),
    });
    library.init(table).map_err(|error| format!("{INIT}{error}"))
}
