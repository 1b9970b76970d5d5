//! Probing a library: a child process loads it before the host does, since its constructors may crash, hang or exit.

use std::borrow::Cow;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fezz_isolation::host::{Plan, TemporaryFolders};
use fezz_isolation::sandbox::{self, Confinement};
use fezz_runtime::Variables;
use fezz_runtime::ffi::{HostTable, Identity, Library, OpenError};
use fezz_runtime::sys::{die_with_parent, shared_environment, static_tls};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::probe_clock::ProbeClock;
use crate::function::{Assets, FunctionKey};

/// Prefix of the probe process's verdict line; all other lines are the library's own output.
const VERDICT: &str = "hhrf-probe: ";
/// Follows it if the library is valid, but its `fezz_init` failed.
const INIT: &str = "init: ";
/// Follows it if the library's bytes decide that it cannot be served.
const UNFIT: &str = "unfit: ";
/// How often the clock of a probe is read.
const READING: Duration = Duration::from_millis(20);
/// How often a probe is made that something has killed, and the pause before it is made again.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// SIGKILL, which no library sends to itself by mistake.
const KILL: i32 = 9;
/// No more than this of a probe's output is kept.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Why a library did not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("the probe process cannot be run: {0}")]
    Run(#[from] io::Error),
    /// Its bytes decide: no other moment makes a difference.
    #[error("{0}")]
    Unfit(String),
    /// May succeed later: another library that it needs may be missing, its folder may not allow programs.
    #[error("{0}")]
    Refused(String),
    /// May succeed later: `fezz_init` may need a server that is down.
    #[error("{0}")]
    Init(String),
    #[error(
        "the library did not load within {} ms; does a constructor of its hang, its fezz_init or its fezz_shutdown?",
        .0.as_millis()
    )]
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
    /// A probe may compute. More of them than there are cores would only be late together.
    cores: Arc<Semaphore>,
}

/// The program that this process runs. On Linux it is just that, even after its file was replaced.
#[must_use]
pub fn own_program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or(own) }
}

impl Prober {
    pub(crate) fn new(timeout: Duration, state: &Path) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            program: own_program(),
            scratch: Arc::new(TemporaryFolders::below(std::path::absolute(state.join("probe"))?)),
            timeout,
            cores: Arc::new(Semaphore::new(cores)),
        })
    }

    /// Loads the library, runs its `fezz_init` and its `fezz_shutdown`, in a process with a near-empty environment and a time
    /// limit, and under what holds for the function's workers, if it has any. What was killed from outside says nothing
    /// about the library: it is tried again.
    pub(crate) async fn check(
        &self,
        subject: Subject<'_>,
        isolation: Option<&Plan>,
    ) -> Result<(), ProbeError> {
        let mut attempt = 1;
        loop {
            match self.check_once(&subject, isolation).await {
                Err(ProbeError::Crashed(status)) if status.signal() == Some(KILL) && attempt < ATTEMPTS => {
                    tracing::debug!(function = %subject.id, attempt, "a probe was killed");
                    tokio::time::sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                verdict => return verdict,
            }
        }
    }

    async fn check_once(&self, subject: &Subject<'_>, isolation: Option<&Plan>) -> Result<(), ProbeError> {
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(io::Error::other)?;
        let scratch = self.scratch.create()?;
        let assets = subject.assets.as_deref();
        let confinement = isolation.map(|plan| plan.confinement(&subject.library, assets, scratch.path()));
        let subject = subject.confined(confinement);
        let mut child = self.spawn(&subject, scratch.path())?;
        let clock = ProbeClock::start(child.id(), self.timeout);
        let input = serde_json::to_vec(&subject).map_err(io::Error::from)?;
        let (status, output) = tokio::select! {
            verdict = verdict(&mut child, &input) => verdict,
            () = over(clock, core) => return Err(ProbeError::Timeout(self.timeout)),
        };
        let status = status?;
        let refusal = output.lines().rev().find_map(|line| line.strip_prefix(VERDICT));
        match refusal {
            Some("ok") if status.success() => Ok(()),
            Some(reason) if status.code() == Some(1) => Err(refused(reason)),
            _ => Err(ProbeError::Crashed(status)),
        }
    }

    fn spawn(&self, subject: &Subject<'_>, scratch: &Path) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        if let Some(folder) = subject.assets.as_deref().filter(|_| subject.confinement.is_some()) {
            // As a worker.
            command.current_dir(folder);
        }
        command
            .arg0(format!("hhrf: probe {}@{}", subject.id, subject.version))
            .arg("probe")
            .arg(scratch)
            .env_clear()
            .envs(static_tls::variable())
            .envs(shared_environment())
            // The library's only folder, as a worker has one for temporary files.
            .env("TMPDIR", scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Hands a probe its input, and waits for its end.
async fn verdict(child: &mut Child, subject: &[u8]) -> (io::Result<ExitStatus>, String) {
    if let Some(mut input) = child.stdin.take() {
        // A probe that has died already says so by its status.
        let _ = input.write_all(subject).await;
    }
    let output = read(child.stdout.take()).await;
    (child.wait().await, output)
}

/// Waits until the time of a probe is over. It has a core as long as it uses that.
async fn over(mut clock: ProbeClock, core: OwnedSemaphorePermit) {
    let mut core = Some(core);
    while !clock.is_over() {
        tokio::time::sleep(READING).await;
        clock.read();
        if clock.rests() {
            core.take();
        }
    }
}

fn refused(reason: &str) -> ProbeError {
    if let Some(reason) = reason.strip_prefix(INIT) {
        return ProbeError::Init(reason.to_owned());
    }
    match reason.strip_prefix(UNFIT) {
        Some(reason) => ProbeError::Unfit(reason.to_owned()),
        None => ProbeError::Refused(reason.to_owned()),
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subject<'a> {
    library: Cow<'a, Path>,
    id: Cow<'a, str>,
    version: Cow<'a, str>,
    variables: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    assets: Option<Cow<'a, Path>>,
    confinement: Option<Confinement>,
}

impl<'a> Subject<'a> {
    /// The function with this key, of which the library is still to be [named](Self::with_library).
    pub(crate) fn new(key: &'a FunctionKey, assets: Option<&'a Assets>, variables: &'a Variables) -> Self {
        Self {
            library: Path::new("").into(),
            id: key.id.as_str().into(),
            version: key.version.as_str().into(),
            variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            assets: assets.map(|assets| assets.folder.as_path().into()),
            confinement: None,
        }
    }

    pub(crate) fn with_library(self, library: &'a Path) -> Self {
        Self { library: library.into(), ..self }
    }

    fn confined(&self, confinement: Option<Confinement>) -> Self {
        Self { confinement, ..self.clone() }
    }
}

/// The probe process itself: loads the library that `subject` names, checks what it exports, runs its `fezz_init` with
/// `scratch` as its data directory and then its `fezz_shutdown`, and answers with the line that the host reads and whether
/// it passed.
#[must_use]
pub fn run(subject: impl io::Read, scratch: &Path) -> (String, bool) {
    // A host that was killed cannot kill its probes, and a constructor may hang for ever. (The signal comes when the
    // thread ends that started the probe; that one waits for it.) Without it the probe works as well.
    let _ = die_with_parent();
    static_tls::forget();
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
    let library = Library::open(&subject.library).map_err(|error| match error {
        OpenError::MissingSymbol(_) | OpenError::OtherAbi(_) => format!("{UNFIT}{error}"),
        error => error.to_string(),
    })?;
    let variables =
        subject.variables.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned()));
    let table = HostTable::leak(Identity {
        id: subject.id.into_owned(),
        version: subject.version.into_owned(),
        data_dir: scratch.to_owned(),
        variables: variables.collect(),
        assets_dir: subject.assets.map(Cow::into_owned),
    });
    library.init(table).map_err(|error| format!("{INIT}{error}"))?;
    // As every end of a library: threads that it has started end here, and not in the middle of an exit.
    library.shutdown();
    Ok(())
}
