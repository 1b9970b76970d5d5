//! A worker as the host sees it: its state, and the task that watches it until its end.

mod log;
mod start;

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use fezz_runtime::sys::Shared;
use http::HeaderValue;
use rustix::process::Signal;
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};

use crate::protocol::{Abilities, Claims, FrameKind};
use crate::sandbox::Enforced;

use super::file_identities::FileIdentities;
use super::frame_reader::FrameReader;
use super::limits::{self, Group, Verdict};
use super::output::Output;
use super::process::Process;
use super::spec::Spec;
use super::temporary::TemporaryFolder;
use log::log;
pub(super) use start::start;

/// Poll interval for the resource usage of a worker.
const USAGE_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time limit for a retired worker to end, its `fezz_shutdown` included.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for reading the rest of the output of a worker that has ended.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
/// Number of cancellation flags of a worker, and of its claims. A call uses those of its number modulo this.
pub(super) const CALL_SLOTS: usize = 1024;

/// Why the host killed a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KillReason {
    /// A call passed its deadline.
    Deadline,
    /// It violated the protocol; how.
    Protocol(String),
    /// It exceeded a limit; which.
    Limit(String),
    /// It was asked to end, and did not in time.
    Retired,
}

/// How a worker ended.
#[derive(Clone, Debug)]
pub(super) struct WorkerExit {
    pub(super) status: ExitStatus,
    pub(super) kill_reason: Option<KillReason>,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("its process cannot be started: {0}")]
    Spawn(#[from] io::Error),
    #[error("{0}")]
    Refused(String),
    #[error("it did not start within {} ms; does a constructor or fezz_init hang?", .0.as_millis())]
    Timeout(Duration),
    #[error("it ended while it started: {0}")]
    Ended(String),
}

/// A running worker. Its connections and its watcher share it.
#[derive(Debug)]
pub(super) struct Worker {
    process: Process,
    /// Restrictions in force and missing, as the worker and the host have found.
    pub(super) enforced: Mutex<Enforced>,
    /// The files that its sandbox has opened by name.
    files: FileIdentities,
    abilities: OnceLock<Abilities>,
    /// Cancellation flags of the calls, which only the host writes.
    flags: Shared,
    /// Which of its calls have begun.
    pub(super) claims: Claims,
    started: Instant,
    calls: AtomicU64,
    /// Number of open connections. Closing the last one asks the worker to end.
    open_connections: AtomicUsize,
    all_closed: Notify,
    /// Whether it takes no new calls.
    retiring: AtomicBool,
    kill_reason: Mutex<Option<KillReason>>,
    exit: watch::Sender<Option<WorkerExit>>,
    output: Arc<Output>,
    /// Calls in flight of each connection, oldest first, with the ids of their requests.
    pending: Mutex<Vec<VecDeque<(u32, HeaderValue)>>>,
}

/// A worker that is ready for calls, and what its watcher needs.
pub(super) struct StartedWorker {
    pub(super) worker: Arc<Worker>,
    /// One for each connection, to be taken before the worker is watched.
    pub(super) sockets: Vec<UnixStream>,
    control: FrameReader,
    group: Option<Group>,
    temporary: Option<TemporaryFolder>,
    output_tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl StartedWorker {
    /// Watches the worker until its end: forwards its log, checks its limits, and publishes its exit.
    pub(super) async fn watch(self, spec: &Spec, max_calls: u64) -> Option<WorkerExit> {
        let Self { worker, sockets: _, mut control, group, temporary, output_tasks } = self;
        let mut usage_poll = tokio::time::interval(USAGE_POLL_INTERVAL);
        usage_poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut control_open = true;
        let mut seen = (0, false);
        let mut overdue: Option<tokio::time::Instant> = None;
        let status = loop {
            tokio::select! {
                status = worker.process.wait() => break status,
                frame = control.next(), if control_open => match frame {
                    Ok(Some((header, payload))) if header.kind == FrameKind::Log => {
                        log(&spec.name, worker.id(), &payload);
                    }
                    // All of these are final. Reading on would spin: a failed socket is always ready with its error.
                    found => {
                        control_open = false;
                        match found {
                            // Most likely it has ended, which the wait will tell.
                            Ok(None) => worker.process.kill(),
                            Ok(Some(_)) => {
                                worker.kill(KillReason::Protocol("a frame that is no log record".to_owned()));
                            }
                            Err(error) => worker.kill(KillReason::Protocol(error.to_string())),
                        }
                    }
                },
                _ = usage_poll.tick() => {
                    let now = (worker.calls.load(Ordering::Relaxed), worker.is_busy());
                    // Skips workers that were idle since the last check.
                    if now != seen || now.1 {
                        seen = now;
                        worker.check_limits(spec, max_calls);
                    }
                }
                () = worker.all_closed.notified() => {
                    overdue = Some(tokio::time::Instant::now() + SHUTDOWN_TIMEOUT);
                }
                () = tokio::time::sleep_until(overdue.unwrap_or_else(tokio::time::Instant::now)), if overdue.is_some() => {
                    overdue = None;
                    worker.kill(KillReason::Retired);
                }
            }
        };
        worker.drain_output(output_tasks).await;
        let killed = status.as_ref().is_ok_and(|status| status.signal() == Some(Signal::KILL.as_raw()));
        if killed && group.as_ref().is_some_and(Group::ran_out_of_memory) {
            let limit = spec.plan.limits.memory_bytes;
            worker.kill(KillReason::Limit(format!(
                "more than the {limit} bytes of memory that are allowed were needed"
            )));
        }
        drop(group);
        drop(temporary);
        let kill_reason = worker.kill_reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let exit = status.ok().map(|status| WorkerExit { status, kill_reason });
        worker.exit.send_replace(exit.clone());
        exit
    }
}

impl Worker {
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it. The first reason counts.
    pub(super) fn kill(&self, reason: KillReason) {
        self.retire();
        self.kill_reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.process.kill();
    }

    /// Stops it from taking new calls.
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

    /// Kills what is left of its process group, without a reason of the host's: it seems to have ended by itself.
    pub(super) fn kill_leftovers(&self) {
        self.process.kill();
    }

    /// Number of its connections, open or closed.
    pub(super) fn connections(&self) -> usize {
        self.pending().len()
    }

    fn pending(&self) -> MutexGuard<'_, Vec<VecDeque<(u32, HeaderValue)>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it has ended. It must be ending already.
    pub(super) async fn exited(&self) -> Option<WorkerExit> {
        let mut exit = self.exit.subscribe();
        exit.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Records and counts a call that is sent on a connection.
    pub(super) fn call_sent(&self, connection: u32, id: u32, request_id: HeaderValue) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(in_flight) = self.pending().get_mut(connection as usize) {
            in_flight.push_back((id, request_id));
        }
    }

    /// Removes the oldest call of a connection, which has ended.
    pub(super) fn call_ended(&self, connection: u32) {
        if let Some(in_flight) = self.pending().get_mut(connection as usize) {
            in_flight.pop_front();
        }
    }

    /// Ids of the requests that it has begun and not answered.
    pub(super) fn requests(&self) -> Vec<String> {
        let pending = self.pending();
        let begun = pending.iter().flatten().filter(|(id, _)| self.claims.is_begun(*id));
        begun.map(|(_, request)| String::from_utf8_lossy(request.as_bytes()).into_owned()).collect()
    }

    fn is_busy(&self) -> bool {
        self.pending().iter().any(|in_flight| !in_flight.is_empty())
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

    /// How its function wants to be called.
    pub(super) fn abilities(&self) -> Abilities {
        self.abilities.get().copied().unwrap_or_default()
    }

    /// The cancellation flag of the call with this number.
    pub(super) fn flag(&self, id: u32) -> &std::sync::atomic::AtomicU32 {
        self.flags.word(id as usize)
    }

    pub(super) fn connection_closed(&self) {
        if self.open_connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.retire();
            self.all_closed.notify_one();
        }
    }

    /// Whether it can read the files that have their names now.
    pub(super) fn has_files(&self, now: &FileIdentities) -> bool {
        self.files == *now
    }

    /// Kills it over a limit; near one, or if files that it may read were replaced, retires it.
    fn check_limits(&self, spec: &Spec, max_calls: u64) {
        match limits::check(self.id(), &spec.plan) {
            Verdict::OverLimit(what) => return self.kill(KillReason::Limit(what)),
            Verdict::NearLimit => self.retire(),
            Verdict::WithinLimits => {}
        }
        if self.calls() >= max_calls || !self.has_files(&FileIdentities::now(spec.plan.profile)) {
            self.retire();
        }
    }

    async fn drain_output(&self, output_tasks: Vec<tokio::task::JoinHandle<()>>) {
        let all = async {
            for task in output_tasks {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(OUTPUT_DRAIN_TIMEOUT, all).await;
    }
}
