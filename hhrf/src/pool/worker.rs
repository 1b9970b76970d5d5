//! One worker as the host sees it: starting it, and watching it until its end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use tokio::net::UnixStream;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{Notify, watch};

use super::cgroup::Group;
use super::output::Output;
use super::process::Process;
use super::slot::{Frames, Slot};
use super::usage::Usage;
use super::{Environment, Spec};
use crate::fds;
use crate::ffi::{Shared, TARGET, log_level};
use crate::worker::sandbox::Enforced;
use crate::worker::{Encoder, Kind, ProtocolError, Ready, Record, Setup};

/// How often it is looked at what a worker uses.
const LOOK: Duration = Duration::from_millis(100);
/// How long a worker that is not needed any more has for its `fezz_shutdown`.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// How long the last of a worker's output may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Flags by which calls are cancelled; a call's is that of its number, so that a flag is used again late.
const FLAGS: usize = 1024;

/// Why the host ended a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Its call passed its deadline.
    Deadline,
    /// It said what is not the protocol.
    Protocol(String),
    /// It used more than it may.
    Limit(String),
    /// It was not needed any more, and did not end by itself.
    Retired,
}

/// How a worker ended.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    pub(crate) kill: Option<Kill>,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("its process cannot be started: {0}")]
    Spawn(#[from] io::Error),
    #[error("{0}")]
    Refused(String),
    #[error("it did not start within {} ms; does a constructor or fezz_init hang?", .0.as_millis())]
    Timeout(Duration),
    #[error("it ended while it started: {0}")]
    Ended(String),
}

/// A running worker. Its slots and its watcher share it.
#[derive(Debug)]
pub(crate) struct Worker {
    process: Process,
    /// What the worker said that it cannot do, and what the host could not do for it.
    pub(super) enforced: Mutex<Enforced>,
    streams_bodies: OnceLock<bool>,
    flags: Shared,
    started: Instant,
    calls: AtomicU64,
    /// Slots that are open; with the last one the worker is asked to end.
    open_slots: AtomicUsize,
    all_closed: Notify,
    /// It takes no new call.
    retiring: AtomicBool,
    kill: Mutex<Option<Kill>>,
    exit: watch::Sender<Option<Exit>>,
    output: Arc<Output>,
    /// The requests that are in it, by slot.
    requests: Mutex<Vec<Option<HeaderValue>>>,
}

/// A worker that is to be watched.
pub(super) struct Started {
    pub(super) worker: Arc<Worker>,
    pub(super) slots: Vec<Slot>,
    control: Frames,
    group: Option<Group>,
    following: Vec<tokio::task::JoinHandle<()>>,
}

/// Starts a worker and waits until it is ready.
pub(super) async fn start(spec: &Spec, environment: &Environment) -> Result<Started, StartError> {
    let begun = Instant::now();
    let (control, theirs) = StdStream::pair()?;
    let mut child = environment.spawner.spawn(command(spec, environment, theirs)).await?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let pid = child.id();
    let process = Process::new(child)?;
    let mut enforced = Enforced::default();
    let group = group(spec, pid, &mut enforced);
    let output = Output::new(spec.name.clone(), pid);
    let mut following = Vec::new();
    if let Some(stdout) = stdout {
        following.push(tokio::spawn(Arc::clone(&output).follow(ChildStdout::from_std(stdout)?, "stdout")));
    }
    if let Some(stderr) = stderr {
        following.push(tokio::spawn(Arc::clone(&output).follow(ChildStderr::from_std(stderr)?, "stderr")));
    }
    let (flags, flags_fd) = Shared::create("fezz-calls", FLAGS * size_of::<u32>())?;
    Shared::seal_writes(&flags_fd)?;
    let sockets = set_up(spec, &control, &flags_fd)?;
    let worker = Arc::new(Worker {
        process,
        enforced: Mutex::default(),
        streams_bodies: OnceLock::new(),
        flags,
        started: begun,
        calls: AtomicU64::new(0),
        open_slots: AtomicUsize::new(sockets.len()),
        all_closed: Notify::new(),
        retiring: AtomicBool::new(false),
        kill: Mutex::new(None),
        exit: watch::Sender::new(None),
        output,
        requests: Mutex::new(vec![None; sockets.len()]),
    });
    control.set_nonblocking(true)?;
    // Nothing more is said that way.
    let (control, silent) = UnixStream::from_std(control)?.into_split();
    silent.forget();
    let mut control = Frames::new(control);
    let ready = tokio::time::timeout(environment.settings.start, ready(&mut control, &spec.name, pid)).await;
    let ready = match ready {
        Ok(Ok(ready)) => ready,
        Ok(Err(error)) => {
            worker.process.kill();
            let status = worker.process.wait().await?;
            worker.last_words(following).await;
            let lines = worker.output.last().join("; ");
            return Err(match error {
                StartError::Ended(_) if lines.is_empty() => StartError::Ended(super::describe(status)),
                StartError::Ended(_) => StartError::Ended(format!("{}: {lines}", super::describe(status))),
                error => error,
            });
        }
        Err(_) => {
            worker.process.kill();
            let _ = worker.process.wait().await;
            return Err(StartError::Timeout(environment.settings.start));
        }
    };
    let _ = worker.streams_bodies.set(ready.streams_bodies);
    enforced.parts.extend(ready.enforced.parts);
    enforced.missing.extend(ready.enforced.missing);
    *worker.enforced.lock().unwrap_or_else(PoisonError::into_inner) = enforced;
    let mut slots = Vec::new();
    for (index, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        slots.push(Slot::new(Arc::clone(&worker), index, UnixStream::from_std(socket)?));
    }
    Ok(Started { worker, slots, control, group, following })
}

fn command(spec: &Spec, environment: &Environment, socket: StdStream) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(&environment.program);
    command
        .arg("worker")
        // For those who look at a list of processes.
        .arg(&spec.name)
        .env_clear()
        .envs(spec.variables.iter())
        .current_dir(&spec.data_dir)
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn group(spec: &Spec, pid: u32, enforced: &mut Enforced) -> Option<Group> {
    let group = Group::new(spec.plan.limits.memory_bytes, spec.plan.threads)
        .and_then(|group| group.add(pid).map(|()| group));
    match group {
        Ok(group) => {
            enforced.parts.push("control group with memory.max".to_owned());
            Some(group)
        }
        Err(error) => {
            tracing::debug!(function = spec.name, "no control group: {error}");
            enforced.lacks("control group with memory.max; resident memory is looked at instead");
            None
        }
    }
}

/// Tells the worker what to load, and hands over its sockets; answers with the host's ends of them.
fn set_up(spec: &Spec, control: &StdStream, flags: &OwnedFd) -> Result<Vec<StdStream>, StartError> {
    let setup = Setup {
        library: spec.library.clone(),
        id: spec.id.clone(),
        version: spec.version.clone(),
        data_dir: spec.data_dir.clone(),
        log_level: log_level(),
        confinement: spec.plan.confinement(&spec.library, &spec.data_dir),
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..spec.plan.concurrency {
        let (our, their) = StdStream::pair()?;
        ours.push(our);
        theirs.push(their);
    }
    let mut encoder = Encoder::new(Vec::new(), Kind::Setup, 0);
    encoder.rest(&serde_json::to_vec(&setup).map_err(io::Error::from)?);
    let frame = encoder.finish().map_err(io::Error::other)?;
    let mut handed = vec![flags.as_fd()];
    handed.extend(theirs.iter().map(AsFd::as_fd));
    fds::send(control, &frame, &handed)?;
    Ok(ours)
}

async fn ready(control: &mut Frames, function: &str, worker: u32) -> Result<Ready, StartError> {
    loop {
        let frame = control.next().await.map_err(|error| StartError::Refused(error.to_string()))?;
        let Some((header, payload)) = frame else { return Err(StartError::Ended(String::new())) };
        match header.kind {
            Kind::Ready => {
                return serde_json::from_slice(&payload)
                    .map_err(|error| StartError::Refused(error.to_string()));
            }
            Kind::Refused => return Err(StartError::Refused(String::from_utf8_lossy(&payload).into_owned())),
            Kind::Log => log(function, worker, &payload),
            found => {
                let error = ProtocolError::Unexpected { found, expected: "ready" };
                return Err(StartError::Refused(error.to_string()));
            }
        }
    }
}

/// A worker's log record in the host's log.
fn log(function: &str, worker: u32, payload: &Bytes) {
    let Ok(record) = serde_json::from_slice::<Record>(payload) else {
        return tracing::warn!(function, worker, "the worker sent a log record that cannot be read");
    };
    let Record { message, line, .. } = &record;
    let (module, request_id) = (filled(&record.module), filled(&record.request_id));
    let (file, fields) = (filled(&record.file), filled(&record.fields));
    // tracing wants the level to be known when it compiles, hence a call for each.
    macro_rules! write {
        ($level:ident) => {
            tracing::$level!(target: TARGET, function, worker, module, request_id, file, line, fields, "{message}")
        };
    }
    match record.level.as_str() {
        "ERROR" => write!(error),
        "WARN" => write!(warn),
        "INFO" => write!(info),
        "DEBUG" => write!(debug),
        _ => write!(trace),
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Started {
    /// Watches the worker until its end, which everybody who waits for it is told.
    pub(super) async fn watch(self, spec: &Spec, max_calls: u64) -> Option<Exit> {
        let Self { worker, slots: _, mut control, group, following } = self;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut control_open = true;
        let mut seen_calls = 0;
        let mut overdue: Option<tokio::time::Instant> = None;
        let status = loop {
            tokio::select! {
                status = worker.process.wait() => break status,
                frame = control.next(), if control_open => match frame {
                    Ok(Some((header, payload))) if header.kind == Kind::Log => {
                        log(&spec.name, worker.id(), &payload);
                    }
                    // Nothing that comes after any of these is read: a broken socket is ready with its error for ever.
                    found => {
                        control_open = false;
                        match found {
                            // Its end, most likely, of which more is known in a moment.
                            Ok(None) => worker.process.kill(),
                            Ok(Some(_)) => {
                                worker.kill(Kill::Protocol("a frame that is no log record".to_owned()));
                            }
                            Err(error) => worker.kill(Kill::Protocol(error.to_string())),
                        }
                    }
                },
                _ = look.tick() => {
                    let calls = worker.calls.load(Ordering::Relaxed);
                    // One that does nothing uses no more than it did.
                    if calls != seen_calls || worker.is_busy() {
                        seen_calls = calls;
                        worker.look(spec, max_calls);
                    }
                }
                () = worker.all_closed.notified() => {
                    overdue = Some(tokio::time::Instant::now() + SHUTDOWN);
                }
                () = tokio::time::sleep_until(overdue.unwrap_or_else(tokio::time::Instant::now)), if overdue.is_some() => {
                    overdue = None;
                    worker.kill(Kill::Retired);
                }
            }
        };
        worker.last_words(following).await;
        drop(group);
        let kill = worker.kill.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let exit = status.ok().map(|status| Exit { status, kill });
        worker.exit.send_replace(exit.clone());
        exit
    }
}

impl Worker {
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it at once; the first reason is the one that counts.
    pub(crate) fn kill(&self, reason: Kill) {
        self.retire();
        self.kill.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.process.kill();
    }

    /// It takes no new call.
    pub(super) fn retire(&self) {
        self.retiring.store(true, Ordering::Release);
    }

    pub(super) fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Acquire)
    }

    /// Whether it takes calls.
    pub(super) fn is_live(&self) -> bool {
        !self.is_retiring() && self.exit.borrow().is_none()
    }

    /// Ends what is left of one that has ended, as far as can be seen.
    pub(super) fn end_now(&self) {
        self.process.kill();
    }

    /// How many slots it has.
    pub(super) fn slots(&self) -> usize {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits for its end, which is at hand.
    pub(super) async fn exited(&self) -> Option<Exit> {
        let mut exit = self.exit.subscribe();
        exit.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Takes down which request a slot serves, and counts it.
    pub(super) fn begin(&self, slot: usize, request_id: Option<HeaderValue>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.note(slot, Some(request_id.unwrap_or(HeaderValue::from_static("-"))));
    }

    pub(super) fn finish(&self, slot: usize) {
        self.note(slot, None);
    }

    fn note(&self, slot: usize, request_id: Option<HeaderValue>) {
        if let Some(place) = self.requests.lock().unwrap_or_else(PoisonError::into_inner).get_mut(slot) {
            *place = request_id;
        }
    }

    /// The ids of the requests that are in it.
    pub(super) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().flatten().map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()).collect()
    }

    fn is_busy(&self) -> bool {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter().any(Option::is_some)
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn last_lines(&self) -> Vec<String> {
        self.output.last()
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// Whether its function reads request bodies as streams.
    pub(super) fn streams_bodies(&self) -> bool {
        self.streams_bodies.get().copied().unwrap_or_default()
    }

    /// The flag that cancels the call with this number.
    pub(super) fn flag(&self, id: u32) -> &std::sync::atomic::AtomicU32 {
        self.flags.word(id as usize)
    }

    pub(super) fn slot_closed(&self) {
        if self.open_slots.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.retire();
            self.all_closed.notify_one();
        }
    }

    /// What it uses beyond its limits ends it; what comes near them lets it end after its call.
    fn look(&self, spec: &Spec, max_calls: u64) {
        let Ok(usage) = Usage::of(self.id()) else { return };
        let plan = &spec.plan;
        if usage.resident_bytes > plan.limits.memory_bytes {
            let (used, limit) = (usage.resident_bytes, plan.limits.memory_bytes);
            return self.kill(Kill::Limit(format!("{used} bytes of memory are in use, {limit} are allowed")));
        }
        if usage.threads > plan.threads {
            let (used, limit) = (usage.threads, plan.threads);
            return self.kill(Kill::Limit(format!("{used} threads are running, {limit} are allowed")));
        }
        let nearly = usage.resident_bytes > plan.limits.memory_bytes / 10 * 8
            || usage.cpu_seconds > plan.limits.cpu_seconds / 2;
        if nearly || self.calls() >= max_calls {
            self.retire();
        }
    }

    async fn last_words(&self, following: Vec<tokio::task::JoinHandle<()>>) {
        let all = async {
            for task in following {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
    }
}
