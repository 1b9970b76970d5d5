//! What a pool has at the moment: its workers, their idle slots, and who waits for one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::health::Health;
use super::slot::Slot;
use super::worker::Worker;
use super::{CallError, Crash};

/// A slot, or why there is none.
pub(super) type Found = Result<Slot, CallError>;

#[derive(Debug)]
pub(super) struct State {
    /// The latest one to come back is the first to go out, so that those which are not needed stay idle.
    pub(super) idle: Vec<(Instant, Slot)>,
    pub(super) workers: Vec<Arc<Worker>>,
    /// Workers that were ordered and are not there yet.
    pub(super) starting: usize,
    pub(super) waiting: VecDeque<oneshot::Sender<Found>>,
    pub(super) health: Health,
    pub(super) crashes: VecDeque<Crash>,
    /// When there last was a call: a while without one, and no more workers are kept ready than `min`.
    pub(super) called: Option<Instant>,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn live(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_live()).count()
    }

    /// Hands a slot to whoever has waited longest, or keeps it.
    pub(super) fn give(&mut self, slot: Slot) {
        let mut slot = slot;
        while let Some(next) = self.waiting.pop_front() {
            match next.send(Ok(slot)) {
                Ok(()) => return,
                Err(Ok(back)) => slot = back,
                Err(Err(_)) => return,
            }
        }
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

    /// Tells all who wait that there is nothing to wait for.
    pub(super) fn refuse(&mut self, error: impl Fn() -> CallError) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(Err(error()));
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
                surplus.extend(self.idle.extract_if(.., |(_, slot)| is_its(slot)).map(|(_, slot)| slot));
            }
        }
        surplus
    }
}
