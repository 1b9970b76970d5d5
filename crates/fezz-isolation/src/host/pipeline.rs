//! The pipeline of a connection: its calls in flight, oldest first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::protocol::Claims;

use super::call::PendingCall;

/// Duration of a call after which the calls behind it are withdrawn.
const STALL_TIMEOUT: Duration = Duration::from_millis(2);

/// The calls in flight on one connection, oldest first; the worker is at the first.
#[derive(Debug)]
pub(super) struct Pipeline {
    sent: VecDeque<InFlightCall>,
    /// Since when the oldest call is the oldest.
    since: Instant,
}

/// A call that was sent and has not ended.
#[derive(Debug)]
pub(super) struct InFlightCall {
    pub(super) id: u32,
    /// Length of its frame, in bytes; 0 for one that is not pipelined.
    pub(super) bytes: usize,
    pub(super) deadline: Instant,
    /// `None` if it was withdrawn. Its entry stays until the worker confirms that.
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

    /// Takes the oldest call out of its entry, which stays until the worker has ended it.
    pub(super) fn take_first(&mut self) -> Option<PendingCall> {
        self.sent.front_mut().and_then(|first| first.call.take())
    }

    /// Bytes in flight that the worker may not have read.
    pub(super) fn bytes(&self) -> usize {
        self.sent.iter().map(|sent| sent.bytes).sum()
    }

    pub(super) fn push(&mut self, sent: InFlightCall) {
        if self.is_empty() {
            self.since = Instant::now();
        }
        self.sent.push_back(sent);
    }

    /// Removes the oldest call, which has ended.
    pub(super) fn pop(&mut self) -> Option<InFlightCall> {
        self.since = Instant::now();
        self.sent.pop_front()
    }

    /// When to check the oldest call: at its deadline, or earlier when it stalls others.
    pub(super) fn due(&self) -> Instant {
        let Some(first) = self.sent.front() else { return self.since + STALL_TIMEOUT };
        let is_followed = self.sent.iter().skip(1).any(|sent| sent.call.is_some());
        if is_followed { first.deadline.min(self.since + STALL_TIMEOUT) } else { first.deadline }
    }

    /// Whether the oldest call has reached its deadline.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.sent.front().is_some_and(|first| first.deadline <= now)
    }

    /// Whether the oldest call stalls the pipeline.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        self.len() > 1 && now.duration_since(self.since) >= STALL_TIMEOUT
    }

    /// Withdraws the calls that have not begun, except the first `keep`.
    pub(super) fn withdraw(&mut self, claims: &Claims, keep: usize) -> Vec<PendingCall> {
        let others = self.sent.iter_mut().skip(keep);
        let others = others.filter(|sent| sent.call.is_some() && claims.withdraw(sent.id));
        others.filter_map(|sent| sent.call.take()).collect()
    }

    /// Removes all calls.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = PendingCall> {
        self.sent.drain(..).filter_map(|sent| sent.call)
    }
}
