//! A few blocking tasks drain a queue of calls.
//!
//! Waking a thread for each call costs more than most calls, so a call that arrives while a runner is at work waits in
//! the queue for it. There are as many runners as cores before any call waits. When calls block, and the queue has not
//! moved for a moment, a watcher doubles the number of runners until it moves again or the limit is reached. A runner
//! that finds the queue empty ends.
//!
//! Functions whose calls are known to block have a lane of their own, so that nobody waits behind them: a call there
//! gets a runner at once, as long as there is one left. The last ones, as many as cores, are kept for quick calls.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::blocking::Job;
use super::stream::Pull;
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
    fn lane(&self) -> Lane {
        let call = match self {
            Self::Call(job) => job.call(),
            Self::Pull(pull) => pull.call(),
        };
        if call.function().gate.blocks() { Lane::Slow } else { Lane::Quick }
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
    jobs: VecDeque<Work>,
    runners: usize,
    /// Jobs taken so far: whether the queue moves.
    taken: u64,
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
        state.queue(lane).jobs.push_back(job);
        let wanted = match lane {
            Lane::Quick => state.quick.runners < self.0.eager,
            // Those that are there are taken, all of them: their calls block.
            Lane::Slow => state.runners() < self.0.max - self.0.eager || state.slow.runners == 0,
        };
        if wanted {
            self.add(&mut state, lane, 1);
        } else if matches!(lane, Lane::Quick) && !state.watched {
            state.watched = true;
            drop(state);
            self.0.waiting.notify_one();
        }
    }

    fn add(&self, state: &mut State, lane: Lane, count: usize) {
        state.queue(lane).runners += count;
        for _ in 0..count {
            let runner = Runner { shared: Arc::clone(&self.0), lane };
            tokio::task::spawn_blocking(move || runner.drain());
        }
    }

    /// Looks after the queue for as long as jobs wait in it.
    async fn watch(self) {
        loop {
            self.0.waiting.notified().await;
            let mut seen = self.0.lock().quick.taken;
            loop {
                tokio::time::sleep(PATIENCE).await;
                let mut state = self.0.lock();
                if state.quick.jobs.is_empty() {
                    state.watched = false;
                    break;
                }
                if state.quick.taken == seen {
                    let left = self.0.max.saturating_sub(state.runners());
                    let wanted = state.quick.jobs.len().min(state.quick.runners.max(1)).min(left);
                    self.add(&mut state, Lane::Quick, wanted);
                }
                seen = state.quick.taken;
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
    fn drain(self) {
        // A call that blocks has its runner woken for it anyway.
        let (patience, policy) = match self.lane {
            Lane::Quick => (YIELDS, Policy::Ordinary),
            Lane::Slow => (0, Policy::Patient),
        };
        scheduling::be(policy);
        let mut yields = 0;
        loop {
            let mut state = self.shared.lock();
            let queue = state.queue(self.lane);
            let Some(job) = queue.jobs.pop_front() else {
                if yields < patience {
                    yields += 1;
                    drop(state);
                    std::thread::yield_now();
                    continue;
                }
                // Under the lock that found the queue empty: a job that is queued after this sees one runner less.
                queue.runners -= 1;
                return;
            };
            queue.taken += 1;
            drop(state);
            yields = 0;
            // A defect of the host must not cost a runner for good; the job's own request is told that it was lost.
            if panic::catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a runner panicked; this is a defect of the host");
            }
        }
    }
}
