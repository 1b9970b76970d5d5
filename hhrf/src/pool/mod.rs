//! The pool of one isolated function: worker processes, started on demand, kept ready, and replaced when they are worn
//! out or have crashed.
//!
//! A call takes a slot of a worker, or waits for one; how many may wait is the function's `max_concurrency`. A call that
//! has begun is never made again. A worker that hangs is killed at the call's deadline, and so is one that says what is
//! not the protocol or uses more than it may. The pool is what the cache holds of an isolated function: when it leaves,
//! so do its workers, and their memory with them.

mod alarm;
mod call;
mod cgroup;
mod drive;
mod health;
mod line;
mod output;
mod pace;
mod plan;
mod process;
mod slot;
mod spawner;
mod state;
mod status;
mod usage;
mod wire;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

pub(crate) use call::{CallError, Request, Ticket};
pub(crate) use cgroup::{end_groups_of, end_groups_of_the_dead};
pub(crate) use plan::{Defaults, HealthSettings, Plan, PoolSettings};
pub(crate) use process::describe;
pub(crate) use spawner::Spawner;
pub(crate) use status::{Crash, PoolStatus, WorkerStatus};
use worker::{Exit, Kill};

use crate::catalog::{Digest, Function, Variables};
use crate::metrics::Stats;
use health::Health;
use state::State;
use worker::{StartError, Started, Worker};

/// What every pool of this process has in common.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) spawner: Spawner,
    pub(crate) settings: PoolSettings,
    /// This very program.
    pub(crate) program: PathBuf,
}

/// What a pool knows of its function. Not the function itself, which has to go when nobody but the cache holds it.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) digest: Digest,
    pub(crate) library: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) variables: Variables,
    pub(crate) plan: Plan,
    pub(crate) stats: Arc<Stats>,
}

impl Spec {
    pub(crate) fn of(function: &Function, plan: &Plan) -> Self {
        Self {
            name: function.name().to_owned(),
            id: function.key.id.clone(),
            version: function.key.version.clone(),
            digest: function.key.digest,
            library: function.library.clone(),
            data_dir: function.data_dir.clone(),
            variables: function.variables.clone(),
            plan: plan.clone(),
            stats: Arc::clone(&function.stats),
        }
    }
}

/// A running pool. Dropping it ends its workers.
#[derive(Debug)]
pub(crate) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: Spec,
    environment: Arc<Environment>,
    state: Mutex<State>,
    /// Whether the function reads request bodies as streams, once a worker has said so.
    streams_bodies: OnceLock<bool>,
    /// Held until the last worker has ended.
    alive: mpsc::Sender<()>,
}

impl Pool {
    /// A pool with its first workers on their way. Must be called within a runtime.
    pub(crate) fn start(spec: Spec, environment: Arc<Environment>, alive: mpsc::Sender<()>) -> Self {
        let state = State::new(Health::new(environment.settings.health.clone()));
        let inner = Arc::new(Inner {
            spec,
            environment,
            state: Mutex::new(state),
            streams_bodies: OnceLock::new(),
            alive,
        });
        inner.balance(&mut inner.lock());
        tokio::spawn(sweep(Arc::downgrade(&inner)));
        Self(inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.refuse(|| CallError::NotStarted("the function is being replaced".to_owned()));
        state.workers.iter().for_each(|worker| worker.retire());
        // Their workers end with the last of their slots.
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }
}

/// Ends workers that nobody has needed for a while.
async fn sweep(pool: std::sync::Weak<Inner>) {
    let Some(idle) = pool.upgrade().map(|inner| inner.environment.settings.idle) else { return };
    loop {
        tokio::time::sleep((idle / 4).max(Duration::from_millis(10))).await;
        let Some(inner) = pool.upgrade() else { return };
        let surplus = inner.lock().surplus(Instant::now(), idle, inner.spec.plan.min);
        drop(surplus);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders as many workers as are wanted and not there.
    fn balance(self: &Arc<Self>, state: &mut State) {
        if state.closed || state.health.is_open() {
            return;
        }
        let plan = &self.spec.plan;
        let live = state.live();
        let patience = self.environment.settings.idle;
        let spare = if state.called.is_some_and(|last| last.elapsed() < patience) { plan.spare } else { 0 };
        let wanted = (state.wanted().div_ceil(plan.concurrency) + spare).clamp(plan.min, plan.max);
        for _ in live + state.starting..wanted {
            state.starting += 1;
            let rest = state.health.rest(Instant::now());
            tokio::spawn(Arc::clone(self).add_worker(rest));
        }
    }

    /// Starts a worker after a rest, and looks after it until its end.
    async fn add_worker(self: Arc<Self>, rest: Duration) {
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        if self.lock().closed {
            return;
        }
        let begin = Instant::now();
        match worker::start(&self.spec, &self.environment).await {
            Ok(started) => self.started(started, begin).await,
            Err(error) => self.not_started(&error),
        }
    }

    async fn started(self: Arc<Self>, mut started: Started, begin: Instant) {
        let worker = Arc::clone(&started.worker);
        self.spec.stats.cold_starts.inc();
        let missing = worker.enforced.lock().unwrap_or_else(PoisonError::into_inner).missing.join(", ");
        let (function, took_us) = (self.spec.name.as_str(), begin.elapsed().as_micros());
        tracing::debug!(function, worker = worker.id(), took_us, missing, "worker started");
        let slots = std::mem::take(&mut started.slots);
        {
            let mut state = self.lock();
            state.starting -= 1;
            state.workers.push(Arc::clone(&worker));
            let streams_bodies = *self.streams_bodies.get_or_init(|| worker.streams_bodies());
            for curious in state.curious.drain(..) {
                let _ = curious.send(Ok(streams_bodies));
            }
            if !state.closed {
                slots.into_iter().for_each(|slot| state.rest(slot));
                self.dispatch(&mut state);
                self.balance(&mut state);
            }
        }
        let alive = self.alive.clone();
        let exit = started.watch(&self.spec, self.environment.settings.max_calls).await;
        drop(alive);
        self.ended(&worker, exit);
    }

    /// A worker has ended: as it was asked to, or else it is a crash.
    fn ended(self: &Arc<Self>, worker: &Arc<Worker>, exit: Option<Exit>) {
        let mut state = self.lock();
        state.workers.retain(|other| !Arc::ptr_eq(other, worker));
        // Their drop takes no lock of the pool's.
        drop(state.slots_of(worker));
        let Some(exit) = exit else { return };
        let what = match &exit.kill {
            // Asked to, and with nothing in it.
            None if exit.status.success() && worker.is_retiring() && worker.requests().is_empty() => None,
            None => Some(describe(exit.status)),
            Some(Kill::Limit(what)) => Some(format!("ended by the host: {what}")),
            Some(Kill::Protocol(what)) => Some(format!("ended by the host: it sent {what}")),
            Some(Kill::Deadline) => {
                let (function, worker) = (self.spec.name.as_str(), worker.id());
                tracing::warn!(function, worker, "a worker was ended at its call's deadline");
                None
            }
            Some(Kill::Retired) => None,
        };
        if let Some(what) = what {
            let crash = Crash {
                at: SystemTime::now(),
                what,
                requests: worker.requests(),
                last_lines: worker.last_lines(),
            };
            self.crashed(&mut state, crash, Some(worker.id()));
        }
        self.balance(&mut state);
    }

    fn not_started(self: &Arc<Self>, error: &StartError) {
        let mut state = self.lock();
        state.starting -= 1;
        let crash = Crash {
            at: SystemTime::now(),
            what: format!("a worker could not be started: {error}"),
            requests: Vec::new(),
            last_lines: Vec::new(),
        };
        // Whoever waits for just such a worker need not wait for the next one to fail.
        if state.live() == 0 {
            let reason = error.to_string();
            state.refuse(|| CallError::NotStarted(reason.clone()));
        }
        self.crashed(&mut state, crash, None);
        self.balance(&mut state);
    }

    /// Reports a crash, and lets the pool rest.
    fn crashed(&self, state: &mut State, crash: Crash, worker: Option<u32>) {
        self.spec.stats.crashes.inc();
        let Crash { what, requests, last_lines, .. } = &crash;
        tracing::error!(
            function = self.spec.name,
            digest = %self.spec.digest,
            worker,
            request_id = requests.join(" "),
            stderr = last_lines.join("\n"),
            "the function's worker crashed: {what}"
        );
        if state.health.crashed(Instant::now()) {
            tracing::error!(function = self.spec.name, "too many crashes: calls are refused for a while");
            state.refuse(|| CallError::Resting { again: Duration::from_secs(1) });
        }
        state.crashes.push_front(crash);
        state.crashes.truncate(status::KEPT);
    }
}
