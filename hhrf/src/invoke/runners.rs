//! A few blocking tasks drain one queue of calls.
//!
//! Waking a thread for each call costs more than most calls, so a call that arrives while a runner is at work waits in
//! the queue for it. There are as many runners as cores before any call waits. When calls block, and the queue has not
//! moved for a moment, a watcher doubles the number of runners until it moves again or the limit is reached. A runner
//! that finds the queue empty ends.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::blocking::Job;
use super::stream::Pull;

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

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Work>,
    runners: usize,
    /// Jobs taken so far: whether the queue moves.
    taken: u64,
    watched: bool,
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
        let mut state = self.0.lock();
        state.jobs.push_back(job);
        if state.runners < self.0.eager {
            self.add(&mut state, 1);
        } else if !state.watched {
            state.watched = true;
            drop(state);
            self.0.waiting.notify_one();
        }
    }

    fn add(&self, state: &mut State, count: usize) {
        state.runners += count;
        for _ in 0..count {
            let runner = Runner(Arc::clone(&self.0));
            tokio::task::spawn_blocking(move || runner.drain());
        }
    }

    /// Looks after the queue for as long as jobs wait in it.
    async fn watch(self) {
        loop {
            self.0.waiting.notified().await;
            let mut seen = self.0.lock().taken;
            loop {
                tokio::time::sleep(PATIENCE).await;
                let mut state = self.0.lock();
                if state.jobs.is_empty() {
                    state.watched = false;
                    break;
                }
                if state.taken == seen {
                    let wanted = state.jobs.len().min(state.runners.max(1)).min(self.0.max - state.runners);
                    self.add(&mut state, wanted);
                }
                seen = state.taken;
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
struct Runner(Arc<Shared>);

impl Runner {
    fn drain(self) {
        let mut yields = 0;
        loop {
            let mut state = self.0.lock();
            let Some(job) = state.jobs.pop_front() else {
                if yields < YIELDS {
                    yields += 1;
                    drop(state);
                    std::thread::yield_now();
                    continue;
                }
                // Under the lock that found the queue empty: a job that is queued after this sees one runner less.
                state.runners -= 1;
                return;
            };
            state.taken += 1;
            drop(state);
            yields = 0;
            // A defect of the host must not cost a runner for good; the job's own request is told that it was lost.
            if panic::catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a runner panicked; this is a defect of the host");
            }
        }
    }
}
