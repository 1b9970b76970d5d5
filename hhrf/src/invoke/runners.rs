//! A few blocking tasks drain a queue of calls.
//!
//! Waking a thread for each call costs more than most calls, so a call that arrives while a runner is at work waits in
//! the queue for it. There are as many runners as cores before any call waits. When calls block, and the queue has not
//! moved for a moment while all runners were in calls, a watcher doubles the number of runners until it moves again or
//! the limit is reached. A runner that finds the queue empty leaves its thread to the next one.
//!
//! Within a queue functions take turns, so that the many calls of one do not hold up another's.
//!
//! Functions whose calls are known to block have a lane of their own, so that nobody waits behind them: a call there
//! gets a runner at once, as long as there is one left. The last ones, as many as cores, are kept for quick calls. Their
//! answers leave through an outbox, a few at a time.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::sync::Notify;

use super::blocking::Delivery;
use super::idle::{Idle, Seat};
use super::lanes::{Lane, Lanes, Work, number_of};
use super::outbox::Outbox;
use crate::ffi::scheduling::{self, Policy};

/// How long the queue may stand still before more runners come.
const PATIENCE: Duration = Duration::from_millis(1);

/// How often a runner without work lets others have its core before it ends. Whoever queues the next call is most
/// likely waiting for just that core, and a thread that yields costs less than one that has to be woken.
const YIELDS: u32 = 16;

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
    /// For answers of the slow lane.
    outbox: Outbox<Delivery>,
}

#[derive(Debug, Default)]
struct State {
    lanes: Lanes,
    idle: Idle<Runner>,
    watched: bool,
}

impl Runners {
    /// At most `max` runners. Must be called within a runtime, on which the watcher and the outbox live.
    pub(crate) fn start(max: usize) -> Self {
        let eager = thread::available_parallelism().map_or(1, usize::from).min(max);
        let outbox = Outbox::new();
        tokio::spawn(outbox.clone().run(Delivery::finish));
        let shared = Shared { state: Mutex::default(), waiting: Notify::new(), eager, max, outbox };
        let this = Self(Arc::new(shared));
        tokio::spawn(this.clone().watch());
        this
    }

    /// Queues a call, or a piece of one.
    pub(super) fn submit(&self, job: Work) {
        let lane = job.lane();
        let mut state = self.0.lock();
        let State { lanes, .. } = &mut *state;
        let wanted = match lane {
            Lane::Quick => lanes.quick.runners < self.0.eager,
            // Those that are there are taken, all of them: their calls block.
            Lane::Slow => lanes.runners() < self.0.max - self.0.eager || lanes.slow.runners == 0,
        };
        if wanted {
            let first = lanes.of(lane).runner_for(job);
            let start = self.add(&mut state, lane, first);
            drop(state);
            return start.go();
        }
        lanes.of(lane).push(job);
        if matches!(lane, Lane::Quick) && !state.watched {
            state.watched = true;
            drop(state);
            self.0.waiting.notify_one();
        }
    }

    /// Finds a thread for a runner that is counted already.
    fn add(&self, state: &mut State, lane: Lane, first: Option<Work>) -> Start {
        let runner = Runner { shared: Arc::clone(&self.0), lane, looks: first.is_none(), first };
        state.idle.give(runner).map_or_else(|runner| Start::New(Box::new(runner)), Start::Woken)
    }

    /// Looks after the queue for as long as jobs wait in it.
    async fn watch(self) {
        loop {
            self.0.waiting.notified().await;
            let mut seen = self.0.lock().lanes.quick.taken;
            loop {
                tokio::time::sleep(PATIENCE).await;
                let mut state = self.0.lock();
                if state.lanes.quick.jobs.is_empty() {
                    state.watched = false;
                    break;
                }
                let starts = self.reinforce(&mut state, seen);
                seen = state.lanes.quick.taken;
                drop(state);
                starts.into_iter().for_each(Start::go);
            }
        }
    }

    /// As many runners again, where those that there are have been in calls since so many were taken.
    fn reinforce(&self, state: &mut State, since: u64) -> Vec<Start> {
        let left = self.0.max.saturating_sub(state.lanes.runners());
        let quick = &mut state.lanes.quick;
        if !quick.is_stuck(since) {
            return Vec::new();
        }
        let added = quick.jobs.len().min(quick.runners.max(1)).min(left);
        quick.runners += added;
        quick.looking += added;
        (0..added).map(|_| self.add(state, Lane::Quick, None)).collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A runner that is about to start, once the lock is free that it is going to want.
#[must_use]
enum Start {
    Woken(Thread),
    New(Box<Runner>),
}

impl Start {
    fn go(self) {
        match self {
            Self::Woken(thread) => thread.unpark(),
            Self::New(runner) => drop(tokio::task::spawn_blocking(move || serve(*runner))),
        }
    }
}

/// A thread's runners, one after the other.
fn serve(first: Runner) {
    let seat = Seat::here();
    let mut next = Some(first);
    // Nothing is held while it waits: whoever has the queue may let it go.
    while let Some(runner) = next.take().or_else(|| seat.wait()) {
        runner.drain(&seat);
    }
}

/// One runner, which is counted already.
#[derive(Debug)]
struct Runner {
    shared: Arc<Shared>,
    lane: Lane,
    first: Option<Work>,
    /// Whether it is counted among those that look for a job.
    looks: bool,
}

impl Runner {
    fn drain(mut self, seat: &Arc<Seat<Self>>) {
        scheduling::be(match self.lane {
            Lane::Quick => Policy::Ordinary,
            Lane::Slow => Policy::Patient,
        });
        while let Some(job) = self.first.take().or_else(|| self.next(seat)) {
            // A defect of the host must not cost a runner for good; the job's own request is told that it was lost.
            if panic::catch_unwind(AssertUnwindSafe(|| self.work(job))).is_err() {
                tracing::error!("a runner panicked; this is a defect of the host");
            }
        }
    }

    fn work(&self, job: Work) {
        match (job.run(), self.lane) {
            (Some(delivery), Lane::Slow) => {
                self.shared.outbox.push(number_of(delivery.call().function()), delivery);
            }
            (Some(delivery), Lane::Quick) => delivery.finish(),
            (None, _) => {}
        }
    }

    /// The next job; none where the runner is to end, and is not counted any more.
    fn next(&mut self, seat: &Arc<Seat<Self>>) -> Option<Work> {
        // A call that blocks has its runner woken for it anyway.
        let mut yields = if matches!(self.lane, Lane::Quick) { YIELDS } else { 0 };
        loop {
            let mut state = self.shared.lock();
            let queue = state.lanes.of(self.lane);
            let job = queue.pop();
            let looks = job.is_none() && yields > 0;
            queue.looking = queue.looking + usize::from(looks) - usize::from(self.looks);
            self.looks = looks;
            if job.is_some() {
                return job;
            }
            if yields == 0 {
                // Under the lock that found the queue empty: a job that is queued after this sees one runner less.
                queue.runners -= 1;
                state.idle.add(seat);
                return None;
            }
            yields -= 1;
            drop(state);
            thread::yield_now();
        }
    }
}
