//! What a pool has at the moment: taken workers, their idle connections, and the calls that wait for one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::call::{CallError, PendingCall};
use super::connection::Connection;
use super::health::Health;
use super::status::Crash;
use super::worker::Worker;

#[derive(Debug)]
pub(super) struct PoolState {
    /// The latest one to come back is the first to go out, so that those which are not needed stay idle.
    pub(super) idle: Vec<(Instant, Connection)>,
    pub(super) workers: Vec<Arc<Worker>>,
    /// Workers that were ordered and are not there yet.
    pub(super) starting: usize,
    pub(super) waiting: VecDeque<PendingCall>,
    /// Who waits for a worker to say whether taken function reads request bodies as streams.
    pub(super) capability_waiters: Vec<oneshot::Sender<Result<bool, CallError>>>,
    /// Calls that connections have in_flight and not finished.
    pub(super) in_flight: usize,
    pub(super) health: Health,
    pub(super) crashes: VecDeque<Crash>,
    /// When there last was a call: a while without one, and no more workers are kept ready than `min`.
    pub(super) last_call: Option<Instant>,
    pub(super) closed: bool,
}

impl PoolState {
    pub(super) fn new(health: Health) -> Self {
        Self {
            idle: Vec::new(),
            workers: Vec::new(),
            starting: 0,
            waiting: VecDeque::new(),
            capability_waiters: Vec::new(),
            in_flight: 0,
            health,
            crashes: VecDeque::new(),
            last_call: None,
            closed: false,
        }
    }

    pub(super) fn live(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_live()).count()
    }

    /// Whether calls are let in.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), CallError> {
        self.health.admit(now).map_err(|retry_after| CallError::CircuitOpen { retry_after })?;
        self.last_call = Some(now);
        Ok(())
    }

    /// Calls that are to be made or being made.
    pub(super) fn demand(&self) -> usize {
        self.in_flight + self.waiting.len() + self.capability_waiters.len()
    }

    /// The call that has waited longest and that somebody waits for.
    pub(super) fn next(&mut self, now: Instant) -> Option<PendingCall> {
        self.next_if(now, |_| true)
    }

    /// The same, if it is such a one.
    pub(super) fn next_if(
        &mut self,
        now: Instant,
        accept: impl Fn(&PendingCall) -> bool,
    ) -> Option<PendingCall> {
        while let Some(request) = self.waiting.pop_front_if(|request| request.is_over(now)) {
            request.finish(Err(CallError::Deadline));
        }
        let next = self.waiting.pop_front_if(|request| accept(request))?;
        self.in_flight += 1;
        Some(next)
    }

    /// Answers the calls whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) {
        let (over, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|request| request.is_over(now));
        self.waiting = waiting;
        VecDeque::into_iter(over).for_each(|request| request.finish(Err(CallError::Deadline)));
    }

    /// Keeps an idle connection.
    pub(super) fn park(&mut self, connection: Connection) {
        self.idle.push((Instant::now(), connection));
    }

    /// A connection of a worker that takes calls, if one is idle.
    pub(super) fn take_idle(&mut self) -> Option<Connection> {
        while let Some((_, connection)) = self.idle.pop() {
            if connection.worker.is_live() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes out the idle connections of this worker.
    pub(super) fn connections_of(&mut self, worker: &Arc<Worker>) -> Vec<Connection> {
        let taken = self.idle.extract_if(.., |(_, connection)| Arc::ptr_eq(&connection.worker, worker));
        taken.map(|(_, connection)| connection).collect()
    }

    /// Tells all who wait that there is nothing to wait for.
    pub(super) fn fail_waiting(&mut self, error: impl Fn() -> CallError) {
        for request in self.waiting.drain(..) {
            request.finish(Err(error()));
        }
        for waiter in self.capability_waiters.drain(..) {
            let _ = waiter.send(Err(error()));
        }
    }

    /// Takes out the connections of workers that have been idle for long and are more than are kept.
    pub(super) fn take_surplus(&mut self, now: Instant, idle: Duration, min: usize) -> Vec<Connection> {
        let mut surplus = Vec::new();
        let mut live = self.live();
        for worker in self.workers.clone() {
            let is_its = |connection: &Connection| Arc::ptr_eq(&connection.worker, &worker);
            let since = |(since, connection): &(Instant, Connection)| is_its(connection).then_some(*since);
            let latest = self.idle.iter().filter_map(since).max();
            let all_are_idle =
                self.idle.iter().filter(|(_, connection)| is_its(connection)).count() == worker.connections();
            let long = latest.is_some_and(|latest| now.duration_since(latest) >= idle);
            if live > min && all_are_idle && long {
                live -= 1;
                worker.retire();
                surplus.extend(self.connections_of(&worker));
            }
        }
        surplus
    }
}
