//! What a pool has at the moment: its workers, their idle slots, and the calls that wait for one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::call::{CallError, Request};
use super::health::Health;
use super::slot::Slot;
use super::status::Crash;
use super::worker::Worker;

#[derive(Debug)]
pub(super) struct State {
    /// The latest one to come back is the first to go out, so that those which are not needed stay idle.
    pub(super) idle: Vec<(Instant, Slot)>,
    pub(super) workers: Vec<Arc<Worker>>,
    /// Workers that were ordered and are not there yet.
    pub(super) starting: usize,
    pub(super) waiting: VecDeque<Request>,
    /// Who waits for a worker to say whether its function reads request bodies as streams.
    pub(super) curious: Vec<oneshot::Sender<Result<bool, CallError>>>,
    /// Calls that slots have taken and not finished.
    pub(super) taken: usize,
    pub(super) health: Health,
    pub(super) crashes: VecDeque<Crash>,
    /// When there last was a call: a while without one, and no more workers are kept ready than `min`.
    pub(super) called: Option<Instant>,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn new(health: Health) -> Self {
        Self {
            idle: Vec::new(),
            workers: Vec::new(),
            starting: 0,
            waiting: VecDeque::new(),
            curious: Vec::new(),
            taken: 0,
            health,
            crashes: VecDeque::new(),
            called: None,
            closed: false,
        }
    }

    pub(super) fn live(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_live()).count()
    }

    /// Whether calls are let in.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), CallError> {
        self.health.admit(now).map_err(|again| CallError::Resting { again })?;
        self.called = Some(now);
        Ok(())
    }

    /// Calls that are to be made or being made.
    pub(super) fn wanted(&self) -> usize {
        self.taken + self.waiting.len() + self.curious.len()
    }

    /// The call that has waited longest and that somebody waits for.
    pub(super) fn next(&mut self, now: Instant) -> Option<Request> {
        self.next_if(now, |_| true)
    }

    /// The same, if it is such a one.
    pub(super) fn next_if(&mut self, now: Instant, is_such: impl Fn(&Request) -> bool) -> Option<Request> {
        while let Some(request) = self.waiting.pop_front_if(|request| request.is_over(now)) {
            request.finish(Err(CallError::Deadline));
        }
        let next = self.waiting.pop_front_if(|request| is_such(request))?;
        self.taken += 1;
        Some(next)
    }

    /// Answers the calls whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) {
        let (over, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|request| request.is_over(now));
        self.waiting = waiting;
        VecDeque::into_iter(over).for_each(|request| request.finish(Err(CallError::Deadline)));
    }

    /// Keeps an idle slot.
    pub(super) fn rest(&mut self, slot: Slot) {
        self.idle.push((Instant::now(), slot));
    }

    /// A slot of a worker that takes calls, if one is idle.
    pub(super) fn take(&mut self) -> Option<Slot> {
        while let Some((_, slot)) = self.idle.pop() {
            if slot.worker.is_live() {
                return Some(slot);
            }
        }
        None
    }

    /// Takes out the idle slots of this worker.
    pub(super) fn slots_of(&mut self, worker: &Arc<Worker>) -> Vec<Slot> {
        let its = self.idle.extract_if(.., |(_, slot)| Arc::ptr_eq(&slot.worker, worker));
        its.map(|(_, slot)| slot).collect()
    }

    /// Tells all who wait that there is nothing to wait for.
    pub(super) fn refuse(&mut self, error: impl Fn() -> CallError) {
        for request in self.waiting.drain(..) {
            request.finish(Err(error()));
        }
        for curious in self.curious.drain(..) {
            let _ = curious.send(Err(error()));
        }
    }

    /// Takes out the slots of workers that have been idle for long and are more than are kept.
    pub(super) fn surplus(&mut self, now: Instant, idle: Duration, min: usize) -> Vec<Slot> {
        let mut surplus = Vec::new();
        let mut live = self.live();
        for worker in self.workers.clone() {
            let is_its = |slot: &Slot| Arc::ptr_eq(&slot.worker, &worker);
            let since = |(since, slot): &(Instant, Slot)| is_its(slot).then_some(*since);
            let latest = self.idle.iter().filter_map(since).max();
            let all_are_idle = self.idle.iter().filter(|(_, slot)| is_its(slot)).count() == worker.slots();
            let long = latest.is_some_and(|latest| now.duration_since(latest) >= idle);
            if live > min && all_are_idle && long {
                live -= 1;
                worker.retire();
                surplus.extend(self.slots_of(&worker));
            }
        }
        surplus
    }
}
