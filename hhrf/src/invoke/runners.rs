//! A few blocking tasks drain a queue of calls.
//!
//! Waking a thread for each call costs more than most calls, so a call that arrives while a runner is at work waits in
//! the queue for it. There are as many runners as cores before any call waits. When calls block, and the queue has not
//! moved for a moment, a watcher doubles the number of runners until it moves again or the limit is reached. A runner
//! that finds the queue empty ends.
//!
//! Within a queue functions take turns, so that the many calls of one do not hold up another's.
//!
//! Functions whose calls are known to block have a lane of their own, so that nobody waits behind them: a call there
//! gets a runner at once, as long as there is one left. The last ones, as many as cores, are kept for quick calls.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::blocking::Job;
use super::stream::Pull;
use super::turns::Turns;
use crate::catalog::Function;
use crate::ffi::scheduling::{self, Policy};

/// How long the queue may stand still before more runners come.
const PATIENCE: Duration = Duration::from_millis(1);

/// How often a runner without work lets others have its core before it ends. Whoever queues the next call is most
/// likely waiting for just that core, and a thread that yields costs less than one that has to be woken.
const YIELDS: u32 = 16;

/// What a runner's thread may block on.
#[derive(Debug)]
pub(super) enum Work {
    /// One call.
    Call(Job),
    /// One piece of a response's body.
    Pull(Pull),
}

impl Work {
    fn function(&self) -> &Arc<Function> {
        match self {
            Self::Call(job) => job.call().function(),
            Self::Pull(pull) => pull.call().function(),
        }
    }

    fn lane(&self) -> Lane {
        if self.function().gate.blocks() { Lane::Slow } else { Lane::Quick }
    }

    fn run(self) {
        match self {
            Self::Call(job) => job.run(),
            Self::Pull(pull) => pull.run(),
        }
    }
}

/// The queue and those who drain it.
#[derive(Clone, Debug)]
pub(crate) struct Runners(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the watcher: there are jobs that no runner has taken.
    waiting: Notify,
    /// Runners that start without anybody having waited.
    eager: usize,
    max: usize,
}

/// Which calls a runner takes.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Quick,
    /// Of functions whose calls block.
    Slow,
}

#[derive(Debug, Default)]
struct State {
    quick: Queue,
    slow: Queue,
    watched: bool,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Turns<Work>,
    runners: usize,
    /// Jobs taken so far: whether the queue moves.
    taken: u64,
}

impl Queue {
    fn push(&mut self, job: Work) {
        self.jobs.push(Arc::as_ptr(job.function()).addr(), job);
    }

    fn pop(&mut self) -> Option<Work> {
        let job = self.jobs.pop();
        self.taken += u64::from(job.is_some());
        job
    }

    /// A runner for the job, or for one that has waited for longer.
    fn runner_for(&mut self, job: Work) -> Option<Work> {
        self.runners += 1;
        if self.jobs.is_empty() {
            self.taken += 1;
            return Some(job);
        }
        self.push(job);
        self.pop()
    }
}

impl State {
    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Slow => &mut self.slow,
        }
    }

    fn runners(&self) -> usize {
        self.quick.runners + self.slow.runners
    }
}

impl Runners {
    /// At most `max` runners. Must be called within a runtime, on which the watcher lives.
    pub(crate) fn start(max: usize) -> Self {
        let eager = std::thread::available_parallelism().map_or(1, usize::from).min(max);
        let shared = Shared { state: Mutex::default(), waiting: Notify::new(), eager, max };
        let this = Self(Arc::new(shared));
        tokio::spawn(this.clone().watch());
        this
    }

    /// Queues a call, or a piece of one.
    pub(super) fn submit(&self, job: Work) {
        let lane = job.lane();
        let mut state = self.0.lock();
        let wanted = match lane {
            Lane::Quick => state.quick.runners < self.0.eager,
            // Those that are there are taken, all of them: their calls block.
            Lane::Slow => state.runners() < self.0.max - self.0.eager || state.slow.runners == 0,
        };
        if wanted {
            let first = state.queue(lane).runner_for(job);
            // Not under the lock: the runner wants it too.
            drop(state);
            return self.add(lane, first);
        }
        state.queue(lane).push(job);
        if matches!(lane, Lane::Quick) && !state.watched {
            state.watched = true;
            drop(state);
            self.0.waiting.notify_one();
        }
    }

    /// Starts a runner that is counted already.
    fn add(&self, lane: Lane, first: Option<Work>) {
        let runner = Runner { shared: Arc::clone(&self.0), lane };
        tokio::task::spawn_blocking(move || runner.drain(first));
    }

    /// Looks after the queue for as long as jobs wait in it.
    async fn watch(self) {
        loop {
            self.0.waiting.notified().await;
            let mut seen = self.0.lock().quick.taken;
            loop {
                tokio::time::sleep(PATIENCE).await;
                let mut added = 0;
                let mut state = self.0.lock();
                if state.quick.jobs.is_empty() {
                    state.watched = false;
                    break;
                }
                if state.quick.taken == seen {
                    let left = self.0.max.saturating_sub(state.runners());
                    added = state.quick.jobs.len().min(state.quick.runners.max(1)).min(left);
                    state.quick.runners += added;
                }
                seen = state.quick.taken;
                drop(state);
                for _ in 0..added {
                    self.add(Lane::Quick, None);
                }
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One runner, which is counted already.
struct Runner {
    shared: Arc<Shared>,
    lane: Lane,
}

impl Runner {
    fn drain(self, mut first: Option<Work>) {
        // A call that blocks has its runner woken for it anyway.
        let (patience, policy) = match self.lane {
            Lane::Quick => (YIELDS, Policy::Ordinary),
            Lane::Slow => (0, Policy::Patient),
        };
        scheduling::be(policy);
        let mut yields = 0;
        while let Some(job) = first.take().or_else(|| self.next(&mut yields, patience)) {
            // A defect of the host must not cost a runner for good; the job's own request is told that it was lost.
            if panic::catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a runner panicked; this is a defect of the host");
            }
        }
    }

    /// The next job; none where the runner is to end, and is not counted any more.
    fn next(&self, yields: &mut u32, patience: u32) -> Option<Work> {
        loop {
            let mut state = self.shared.lock();
            let queue = state.queue(self.lane);
            if let Some(job) = queue.pop() {
                *yields = 0;
                return Some(job);
            }
            if *yields == patience {
                // Under the lock that found the queue empty: a job that is queued after this sees one runner less.
                queue.runners -= 1;
                return None;
            }
            *yields += 1;
            drop(state);
            std::thread::yield_now();
        }
    }
}
