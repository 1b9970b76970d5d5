//! The worker pool of one isolated function: starts workers on demand, keeps spare ones, and replaces those that crash or
//! reach their maximum of calls.
//!
//! A call takes an idle connection to a worker, or is queued. A call that has begun is never made again. A worker is killed
//! if a call passes its deadline, if it violates the protocol or exceeds its limits. The host's cache holds the pool as it
//! holds a loaded library: eviction ends the workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::protocol::Abilities;

use super::call::{CallError, PendingCall};
use super::connection::Connection;
use super::driver::Driver;
use super::file_identities::FileIdentities;
use super::health::Health;
use super::process::describe;
use super::spec::{PoolContext, Spec};
use super::state::PoolState;
use super::status::{Crash, MAX_CRASHES, PoolStatus, WorkerStatus};
use super::worker::{self, KillReason, StartError, StartedWorker, Worker, WorkerExit};
use crate::sandbox::Profile;

/// A worker pool. Dropping it ends its workers.
#[derive(Debug)]
pub struct Pool(Arc<PoolInner>);

/// The pool itself, shared by its tasks.
#[derive(Debug)]
pub(super) struct PoolInner {
    pub(super) spec: Spec,
    pub(super) context: Arc<PoolContext>,
    state: Mutex<PoolState>,
    /// How the function wants to be called; known once a worker has reported it.
    abilities: OnceLock<Abilities>,
    /// Number of the next worker, for its name in `ps`.
    next_worker: AtomicU64,
    /// The task of each worker holds this struct, so that the tracker waits for the last worker to end.
    _alive: TaskTrackerToken,
}

impl Pool {
    /// Starts a pool and its first workers. Must be called within a tokio runtime. `alive` is held until the last worker
    /// has ended.
    #[must_use]
    pub fn start(spec: Spec, context: Arc<PoolContext>, alive: TaskTrackerToken) -> Self {
        let state = PoolState::new(Health::new(context.options.health.clone()));
        let inner = Arc::new(PoolInner {
            spec,
            context,
            state: Mutex::new(state),
            abilities: OnceLock::new(),
            next_worker: AtomicU64::new(1),
            _alive: alive,
        });
        inner.start_missing(&mut inner.lock());
        tokio::spawn(retire_idle_workers(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// How the function wants to be called. A worker reports it, so the first call waits for one.
    ///
    /// # Errors
    /// If no worker starts before `deadline`, or the circuit breaker is open.
    pub async fn abilities(&self, deadline: Instant) -> Result<Abilities, CallError> {
        if let Some(known) = self.0.abilities.get() {
            return Ok(*known);
        }
        let (sender, told) = oneshot::channel();
        {
            let mut state = self.0.lock();
            state.admit(Instant::now())?;
            state.capability_waiters.push(sender);
            self.0.start_missing(&mut state);
        }
        match tokio::time::timeout_at(deadline.into(), told).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::NotStarted("the function is being replaced".to_owned())),
            Err(_) => Err(CallError::Deadline),
        }
    }

    /// Answers the queued calls whose deadline has passed.
    pub fn expire(&self) {
        self.0.lock().expire(Instant::now());
    }

    /// Makes a call, or queues it. Callers hold permits, which bound the queue.
    pub fn submit(&self, call: PendingCall) {
        // A worker without a network has no use for the files of name resolution, so its next look is soon enough.
        let files = (self.0.spec.plan.profile == Profile::Net).then(|| FileIdentities::now(Profile::Net));
        let mut state = self.0.lock();
        let outdated = files.map(|files| state.take_outdated(&files)).unwrap_or_default();
        if let Err(error) = state.admit(Instant::now()) {
            drop(state);
            return call.finish(Err(error));
        }
        state.waiting.push_back(call);
        self.0.dispatch(&mut state);
        self.0.start_missing(&mut state);
        drop(state);
        drop(outdated);
    }

    /// A snapshot for operators.
    pub fn status(&self) -> PoolStatus {
        let state = self.0.lock();
        let now = Instant::now();
        let enforced = state
            .workers
            .last()
            .map(|worker| worker.enforced.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default();
        let workers = state.workers.iter().map(|worker| WorkerStatus {
            pid: worker.id(),
            calls: worker.calls(),
            seconds: now.duration_since(worker.started()).as_secs(),
        });
        PoolStatus {
            workers: workers.collect(),
            waiting: state.waiting.iter().filter(|request| !request.answer.is_closed()).count(),
            circuit_open: state.health.is_open(),
            missing: enforced.missing,
            enforced: enforced.parts,
            crashes: state.crashes.iter().cloned().collect(),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.fail_waiting(|| CallError::NotStarted("the function is being replaced".to_owned()));
        state.workers.iter().for_each(|worker| worker.retire());
        // Workers end when their last connection is closed. Dropped without the lock.
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }
}

/// Ends idle workers above the minimum, periodically.
async fn retire_idle_workers(pool: Weak<PoolInner>) {
    let Some(idle) = pool.upgrade().map(|inner| inner.context.options.idle) else { return };
    loop {
        tokio::time::sleep((idle / 4).max(Duration::from_millis(10))).await;
        let Some(inner) = pool.upgrade() else { return };
        let surplus = inner.lock().take_surplus(Instant::now(), idle, inner.spec.plan.min);
        drop(surplus);
    }
}

impl PoolInner {
    pub(super) fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a driver for each idle connection while calls are queued.
    pub(super) fn dispatch(self: &Arc<Self>, state: &mut PoolState) {
        while !state.waiting.is_empty()
            && let Some(connection) = state.take_idle()
        {
            let Some(call) = state.next(Instant::now()) else { return state.park(connection) };
            tokio::spawn(Driver::new(Arc::clone(self), connection).run(call));
        }
    }

    /// Starts the workers that are missing for the demand.
    pub(super) fn start_missing(self: &Arc<Self>, state: &mut PoolState) {
        if state.closed || state.health.is_open() {
            return;
        }
        let plan = &self.spec.plan;
        let live = state.live();
        let patience = self.context.options.idle;
        let spare =
            if state.last_call.is_some_and(|last| last.elapsed() < patience) { plan.spare } else { 0 };
        let wanted = (state.demand().div_ceil(plan.concurrency) + spare).clamp(plan.min, plan.max);
        for _ in live + state.starting..wanted {
            state.starting += 1;
            let rest = state.health.start_delay(Instant::now());
            tokio::spawn(Arc::clone(self).run_worker(rest));
        }
    }

    /// Starts a worker after a delay, and watches it until its end.
    async fn run_worker(self: Arc<Self>, rest: Duration) {
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        if self.lock().closed {
            return;
        }
        let begin = Instant::now();
        let number = self.next_worker.fetch_add(1, Ordering::Relaxed);
        match worker::start(&self.spec, &self.context, number).await {
            Ok(started) => self.serve_until_exit(started, begin).await,
            Err(error) => self.start_failed(&error),
        }
    }

    /// Adds a started worker to the pool, and watches it until its end.
    async fn serve_until_exit(self: Arc<Self>, mut started: StartedWorker, begin: Instant) {
        let worker = Arc::clone(&started.worker);
        self.spec.observer.worker_started();
        let missing = worker.enforced.lock().unwrap_or_else(PoisonError::into_inner).missing.join(", ");
        let (function, took_us) = (self.spec.name.as_str(), begin.elapsed().as_micros());
        tracing::debug!(function, worker = worker.id(), took_us, missing, "worker started");
        {
            let sockets = std::mem::take(&mut started.sockets);
            let connect = |(index, socket)| Connection::new(Arc::clone(&worker), index, socket);
            // In this block: if the pool was dropped meanwhile, closing the connections asks the worker to end.
            let connections: Vec<_> = (0..).zip(sockets).map(connect).collect();
            let is_current = worker.has_files(&FileIdentities::now(self.spec.plan.profile));
            let mut state = self.lock();
            state.starting -= 1;
            state.workers.push(Arc::clone(&worker));
            if !is_current {
                worker.retire();
            }
            let abilities = *self.abilities.get_or_init(|| worker.abilities());
            for waiter in state.capability_waiters.drain(..) {
                let _ = waiter.send(Ok(abilities));
            }
            if !state.closed && is_current {
                connections.into_iter().for_each(|connection| state.park(connection));
                self.dispatch(&mut state);
                self.start_missing(&mut state);
            }
        }
        let exit = started.watch(&self.spec, self.context.options.max_calls).await;
        self.worker_ended(&worker, exit);
    }

    /// Removes a worker that has ended, and reports a crash unless it was asked to end.
    fn worker_ended(self: &Arc<Self>, worker: &Arc<Worker>, exit: Option<WorkerExit>) {
        let mut state = self.lock();
        state.workers.retain(|other| !Arc::ptr_eq(other, worker));
        // Dropping them takes no lock of the pool.
        drop(state.connections_of(worker));
        let Some(exit) = exit else { return };
        let what = match &exit.kill_reason {
            // Asked to end, and with no call in it.
            None if exit.status.success() && worker.is_retiring() && worker.requests().is_empty() => None,
            None => Some(describe(exit.status)),
            Some(KillReason::Limit(what)) => Some(format!("ended by the host: {what}")),
            Some(KillReason::Protocol(what)) => Some(format!("ended by the host: it sent {what}")),
            Some(KillReason::Deadline) => {
                let (function, worker) = (self.spec.name.as_str(), worker.id());
                let kind = "workers were ended at their call's deadline";
                tracing::warn!(kind, function, worker, "a worker was ended at its call's deadline");
                None
            }
            Some(KillReason::Retired) => None,
        };
        if let Some(what) = what {
            let crash = Crash {
                at: SystemTime::now(),
                what,
                requests: worker.requests(),
                last_lines: worker.last_lines(),
            };
            self.record_crash(&mut state, crash, Some(worker.id()));
        }
        self.start_missing(&mut state);
    }

    fn start_failed(self: &Arc<Self>, error: &StartError) {
        let mut state = self.lock();
        state.starting -= 1;
        let crash = Crash {
            at: SystemTime::now(),
            what: format!("a worker could not be started: {error}"),
            requests: Vec::new(),
            last_lines: Vec::new(),
        };
        // With no worker left, waiting callers get the reason at once.
        if state.live() == 0 {
            let reason = error.to_string();
            state.fail_waiting(|| CallError::NotStarted(reason.clone()));
        }
        self.record_crash(&mut state, crash, None);
        self.start_missing(&mut state);
    }

    /// Counts and logs a crash; opens the circuit breaker after too many.
    fn record_crash(&self, state: &mut PoolState, crash: Crash, worker: Option<u32>) {
        self.spec.observer.worker_crashed();
        let Crash { what, requests, last_lines, .. } = &crash;
        tracing::error!(
            kind = "workers crashed",
            function = self.spec.name,
            digest = %self.spec.digest,
            worker,
            request_id = requests.join(" "),
            stderr = last_lines.join("\n"),
            "the function's worker crashed: {what}"
        );
        if state.health.crashed(Instant::now()) {
            tracing::error!(function = self.spec.name, "too many crashes: calls are refused for a while");
            state.fail_waiting(|| CallError::CircuitOpen { retry_after: Duration::from_secs(1) });
        }
        state.crashes.push_front(crash);
        state.crashes.truncate(MAX_CRASHES);
    }
}
