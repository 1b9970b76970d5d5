//! One worker as the host sees it: starting it, and watching it until its end.

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

use crate::protocol::{Claims, FrameKind};
use crate::sandbox::Enforced;

use super::frame_reader::FrameReader;
use super::limits::{self, Group, Verdict};
use super::output::Output;
use super::process::Process;
use super::spec::Spec;
use log::log;
pub(super) use start::start;

/// Poll interval for the resource usage of a worker.
const USAGE_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long a worker that is not needed any more has for its `fezz_shutdown`.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last of a worker's output may take to arrive.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
/// Flags by which calls are cancelled, and as many claims; a call's is that of its number, so that one is used again
/// late.
pub(super) const CALL_SLOTS: usize = 1024;

/// Why the host ended a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KillReason {
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
    /// What the worker said that it cannot do, and what the host could not do for it.
    pub(super) enforced: Mutex<Enforced>,
    streams_bodies: OnceLock<bool>,
    flags: Shared,
    /// Which of the calls in it it has begun.
    pub(super) claims: Claims,
    started: Instant,
    calls: AtomicU64,
    /// Slots that are open; with the last one the worker is asked to end.
    open_connections: AtomicUsize,
    all_closed: Notify,
    /// It takes no new call.
    retiring: AtomicBool,
    kill_reason: Mutex<Option<KillReason>>,
    exit: watch::Sender<Option<WorkerExit>>,
    output: Arc<Output>,
    /// The calls that were sent to it and have not ended, by connection, and the ids of their requests.
    pending: Mutex<Vec<VecDeque<(u32, HeaderValue)>>>,
}

/// A worker that is to be watched.
pub(super) struct StartedWorker {
    pub(super) worker: Arc<Worker>,
    /// One for each connection, to be taken before the worker is watched.
    pub(super) sockets: Vec<UnixStream>,
    control: FrameReader,
    group: Option<Group>,
    output_tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl StartedWorker {
    /// Watches the worker until its end, which everybody who waits for it is told.
    pub(super) async fn watch(self, spec: &Spec, max_calls: u64) -> Option<WorkerExit> {
        let Self { worker, sockets: _, mut control, group, output_tasks } = self;
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
                    // Nothing that comes after any of these is read: a broken socket is ready with its error for ever.
                    found => {
                        control_open = false;
                        match found {
                            // Its end, most likely, of which more is known in a moment.
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
                    // One that does nothing, and did nothing since, uses no more than it did.
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

    /// Ends it at once; the first reason is the one that counts.
    pub(super) fn kill(&self, reason: KillReason) {
        self.retire();
        self.kill_reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
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
    pub(super) fn kill_leftovers(&self) {
        self.process.kill();
    }

    /// How many connections it has.
    pub(super) fn connections(&self) -> usize {
        self.pending().len()
    }

    fn pending(&self) -> MutexGuard<'_, Vec<VecDeque<(u32, HeaderValue)>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its end, which is at hand.
    pub(super) async fn exited(&self) -> Option<WorkerExit> {
        let mut exit = self.exit.subscribe();
        exit.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Takes down that a connection is sent a call, and counts it.
    pub(super) fn begin(&self, connection: u32, id: u32, request_id: HeaderValue) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(calls_of_connection) = self.pending().get_mut(connection as usize) {
            calls_of_connection.push_back((id, request_id));
        }
    }

    /// The first call that a connection was sent has ended.
    pub(super) fn finish(&self, connection: u32) {
        if let Some(calls_of_connection) = self.pending().get_mut(connection as usize) {
            calls_of_connection.pop_front();
        }
    }

    /// The ids of the requests that it has begun and not answered.
    pub(super) fn requests(&self) -> Vec<String> {
        let pending = self.pending();
        let begun = pending.iter().flatten().filter(|(id, _)| self.claims.is_begun(*id));
        begun.map(|(_, request)| String::from_utf8_lossy(request.as_bytes()).into_owned()).collect()
    }

    fn is_busy(&self) -> bool {
        self.pending().iter().any(|calls_of_connection| !calls_of_connection.is_empty())
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

    pub(super) fn connection_closed(&self) {
        if self.open_connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.retire();
            self.all_closed.notify_one();
        }
    }

    /// Kills it over a limit; near one, it is replaced after its calls.
    fn check_limits(&self, spec: &Spec, max_calls: u64) {
        match limits::check(self.id(), &spec.plan) {
            Verdict::OverLimit(what) => return self.kill(KillReason::Limit(what)),
            Verdict::NearLimit => self.retire(),
            Verdict::WithinLimits => {}
        }
        if self.calls() >= max_calls {
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
