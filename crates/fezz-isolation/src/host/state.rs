//! The state of a pool: its workers, their idle connections, and the queue of calls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::protocol::Abilities;

use super::call::{CallError, PendingCall};
use super::connection::Connection;
use super::file_identities::FileIdentities;
use super::health::Health;
use super::status::Crash;
use super::worker::Worker;

/// The state of a pool, behind its lock.
#[derive(Debug)]
pub(super) struct PoolState {
    /// LIFO stack of idle connections, with the time since when: the surplus stays idle and can end.
    pub(super) idle: Vec<(Instant, Connection)>,
    pub(super) workers: Vec<Arc<Worker>>,
    /// Number of workers that are being started.
    pub(super) starting: usize,
    /// Queued calls, oldest first.
    pub(super) waiting: VecDeque<PendingCall>,
    /// Callers that wait for a worker to report whether the function reads request bodies as streams.
    pub(super) capability_waiters: Vec<oneshot::Sender<Result<Abilities, CallError>>>,
    /// Number of calls that drivers have taken from the queue and not finished.
    pub(super) in_flight: usize,
    /// Number of answers that are being streamed.
    pub(super) streams: usize,
    pub(super) health: Health,
    /// The latest crashes, newest first.
    pub(super) crashes: VecDeque<Crash>,
    /// Time of the last call. Spare workers are kept only for a time after it.
    pub(super) last_call: Option<Instant>,
    /// The pool was dropped: no worker starts, no call is made.
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
            streams: 0,
            health,
            crashes: VecDeque::new(),
            last_call: None,
            closed: false,
        }
    }

    /// Number of workers that take calls.
    pub(super) fn live(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_live()).count()
    }

    /// Admits a call, unless the circuit breaker is open.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), CallError> {
        self.health.admit(now).map_err(|retry_after| CallError::CircuitOpen { retry_after })?;
        self.last_call = Some(now);
        Ok(())
    }

    /// Number of calls in flight or waiting.
    pub(super) fn demand(&self) -> usize {
        self.in_flight + self.waiting.len() + self.capability_waiters.len()
    }

    /// The oldest queued call whose caller still waits.
    pub(super) fn next(&mut self, now: Instant) -> Option<PendingCall> {
        self.next_if(now, |_| true)
    }

    /// The same, if `accept` agrees to it.
    pub(super) fn next_if(
        &mut self,
        now: Instant,
        accept: impl Fn(&PendingCall) -> bool,
    ) -> Option<PendingCall> {
        while let Some(call) = self.waiting.pop_front_if(|call| call.is_over(now)) {
            call.finish(Err(self.waited_in_vain()));
        }
        let next = self.waiting.pop_front_if(|call| accept(call))?;
        self.in_flight += 1;
        Some(next)
    }

    /// Answers queued calls whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) {
        let (over, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|call| call.is_over(now));
        self.waiting = waiting;
        VecDeque::into_iter(over).for_each(|call| call.finish(Err(self.waited_in_vain())));
    }

    /// What to tell of a call whose deadline has passed before it began. Streams may hold workers for any time; other calls,
    /// and the start of a worker, end with a deadline of their own.
    fn waited_in_vain(&self) -> CallError {
        if self.streams > 0 { CallError::NotBegun } else { CallError::Deadline }
    }

    /// Adds an idle connection.
    pub(super) fn park(&mut self, connection: Connection) {
        self.idle.push((Instant::now(), connection));
    }

    /// Takes an idle connection of a worker that takes calls.
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

    /// Retires the workers that cannot read the files that have their names now, and takes out their connections.
    pub(super) fn take_outdated(&mut self, files: &FileIdentities) -> Vec<Connection> {
        let is_outdated = |worker: &&Arc<Worker>| worker.is_live() && !worker.has_files(files);
        let outdated: Vec<_> = self.workers.iter().filter(is_outdated).map(Arc::clone).collect();
        let mut connections = Vec::new();
        for worker in outdated {
            worker.retire();
            connections.extend(self.connections_of(&worker));
        }
        connections
    }

    /// Answers all queued calls, and all who wait for a worker, with an error.
    pub(super) fn fail_waiting(&mut self, error: impl Fn() -> CallError) {
        for call in self.waiting.drain(..) {
            call.finish(Err(error()));
        }
        for waiter in self.capability_waiters.drain(..) {
            let _ = waiter.send(Err(error()));
        }
    }

    /// Retires workers above `min` that were idle for `idle`, and takes out their connections.
    pub(super) fn take_surplus(&mut self, now: Instant, idle: Duration, min: usize) -> Vec<Connection> {
        let mut surplus = Vec::new();
        let mut live = self.live();
        for worker in self.workers.clone() {
            let is_of_worker = |connection: &Connection| Arc::ptr_eq(&connection.worker, &worker);
            let since =
                |(since, connection): &(Instant, Connection)| is_of_worker(connection).then_some(*since);
            let latest = self.idle.iter().filter_map(since).max();
            let all_are_idle = self.idle.iter().filter(|(_, connection)| is_of_worker(connection)).count()
                == worker.connections();
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

/// Calls that have ended and are not yet counted in the pool's state, which saves a lock for each.
#[derive(Debug, Default)]
pub(super) struct FinishedCalls {
    pub(super) count: usize,
    pub(super) any_answered: bool,
}

impl FinishedCalls {
    /// Counts them, under the pool's lock.
    pub(super) fn report(&mut self, state: &mut PoolState) {
        state.in_flight -= std::mem::take(&mut self.count);
        if std::mem::take(&mut self.any_answered) {
            state.health.answered();
        }
    }
}
