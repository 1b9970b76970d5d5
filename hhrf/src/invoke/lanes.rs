//! Calls that wait, and how many runners there are for them.

use std::sync::Arc;

use super::blocking::{Delivery, Job};
use super::stream::Pull;
use super::turns::Turns;
use crate::catalog::Function;

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

    pub(super) fn lane(&self) -> Lane {
        if self.function().gate.blocks() { Lane::Slow } else { Lane::Quick }
    }

    /// Does the work. A call's answer is yet to be handed over.
    pub(super) fn run(self) -> Option<Delivery> {
        match self {
            Self::Call(job) => job.run(),
            Self::Pull(pull) => {
                pull.run();
                None
            }
        }
    }
}

/// Which calls a runner takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lane {
    Quick,
    /// Of functions whose calls block.
    Slow,
}

/// Both of them.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) quick: Queue,
    pub(super) slow: Queue,
}

impl Lanes {
    pub(super) const fn of(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Slow => &mut self.slow,
        }
    }

    pub(super) const fn runners(&self) -> usize {
        self.quick.runners + self.slow.runners
    }
}

/// The calls of one lane.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) jobs: Turns<Work>,
    pub(super) runners: usize,
    /// Those among them that look for a job. They need not be there yet: they may wait for a core.
    pub(super) looking: usize,
    /// Jobs taken so far: whether the queue moves.
    pub(super) taken: u64,
}

impl Queue {
    pub(super) fn push(&mut self, job: Work) {
        self.jobs.push(number_of(job.function()), job);
    }

    pub(super) fn pop(&mut self) -> Option<Work> {
        let job = self.jobs.pop();
        self.taken += u64::from(job.is_some());
        job
    }

    /// A runner for the job, or for one that has waited for longer.
    pub(super) fn runner_for(&mut self, job: Work) -> Option<Work> {
        self.runners += 1;
        if self.jobs.is_empty() {
            self.taken += 1;
            return Some(job);
        }
        self.push(job);
        self.pop()
    }

    /// Whether it has not moved since so many were taken, and nobody is about to move it: all runners are in calls.
    pub(super) const fn is_stuck(&self, since: u64) -> bool {
        self.taken == since && self.looking == 0
    }
}

/// By which functions are told apart where they take turns.
pub(super) fn number_of(function: &Arc<Function>) -> usize {
    Arc::as_ptr(function).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_stuck_only_while_nobody_looks_at_it() {
        let queue = |taken, looking| Queue { taken, looking, runners: 2, ..Queue::default() };
        assert!(queue(7, 0).is_stuck(7));
        assert!(!queue(8, 0).is_stuck(7), "it has moved");
        assert!(!queue(7, 1).is_stuck(7), "one of its runners waits for a core");
    }
}
