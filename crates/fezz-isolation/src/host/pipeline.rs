//! The calls that were sent to a connection and have not ended, in their order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::protocol::Claims;

use super::call::PendingCall;

/// How long a call may take before those behind it are made elsewhere.
const STALL_TIMEOUT: Duration = Duration::from_millis(2);

/// See the module. The first one is being made.
#[derive(Debug)]
pub(super) struct Pipeline {
    sent: VecDeque<InFlightCall>,
    /// Since when the first one is the first.
    since: Instant,
}

/// A call that was sent.
#[derive(Debug)]
pub(super) struct InFlightCall {
    pub(super) id: u32,
    /// The length of its frame.
    pub(super) bytes: usize,
    pub(super) deadline: Instant,
    /// None where it was withdrawn: the worker says so when its turn comes.
    pub(super) call: Option<PendingCall>,
}

impl Pipeline {
    pub(super) fn new() -> Self {
        Self { sent: VecDeque::new(), since: Instant::now() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn first(&self) -> Option<&InFlightCall> {
        self.sent.front()
    }

    /// Bytes of calls that the worker may not have read.
    pub(super) fn bytes(&self) -> usize {
        self.sent.iter().map(|sent| sent.bytes).sum()
    }

    pub(super) fn push(&mut self, sent: InFlightCall) {
        if self.is_empty() {
            self.since = Instant::now();
        }
        self.sent.push_back(sent);
    }

    /// The first call has ended.
    pub(super) fn pop(&mut self) -> Option<InFlightCall> {
        self.since = Instant::now();
        self.sent.pop_front()
    }

    /// When something has to be done if the first call has not ended by then.
    pub(super) fn due(&self) -> Instant {
        let Some(first) = self.sent.front() else { return self.since + STALL_TIMEOUT };
        let is_followed = self.sent.iter().skip(1).any(|sent| sent.call.is_some());
        if is_followed { first.deadline.min(self.since + STALL_TIMEOUT) } else { first.deadline }
    }

    /// Whether the first call's time is up.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.sent.front().is_some_and(|first| first.deadline <= now)
    }

    /// Whether the first call keeps others waiting for too long.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        self.len() > 1 && now.duration_since(self.since) >= STALL_TIMEOUT
    }

    /// Takes back what has not begun; the first `keep` calls stay.
    pub(super) fn withdraw(&mut self, claims: &Claims, keep: usize) -> Vec<PendingCall> {
        let others = self.sent.iter_mut().skip(keep);
        let others = others.filter(|sent| sent.call.is_some() && claims.withdraw(sent.id));
        others.filter_map(|sent| sent.call.take()).collect()
    }

    /// Takes out all that is left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = PendingCall> {
        self.sent.drain(..).filter_map(|sent| sent.call)
    }
}
