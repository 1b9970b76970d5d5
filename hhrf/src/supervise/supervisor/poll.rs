//! What the supervisor polls for: stopped and silent processes, memory, and a replaced program.

use std::time::{Duration, Instant};

use fezz_runtime::sys::ended_child;
use rustix::process::{WaitOptions, waitpid};

use super::Supervisor;
use super::blame::name;
use super::start::Reason;
use crate::supervise::child::Child;

/// Least time between two replacements for want of memory.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(30);

impl Supervisor {
    /// Continues serving processes that were stopped (SIGSTOP).
    pub(super) fn wake(&mut self) {
        for child in self.serving.iter().chain(self.next.iter()).chain(self.old.iter().map(|(old, _)| old)) {
            if child.wake() {
                let running: Vec<_> = child.crash().running.iter().map(name).collect();
                let running = running.join(" ");
                tracing::warn!(child = child.id(), running, "the serving process was stopped; it goes on");
            }
        }
    }

    /// Waits for the processes that somebody has left behind, where this is the first process of a container: they are its
    /// children then, and would stay as zombies.
    pub(super) fn reap(&self) {
        while let Some(pid) = ended_child() {
            let own = self.serving.iter().chain(&self.next).chain(self.old.iter().map(|(old, _)| old));
            if own.map(Child::pid).any(|own| own == pid) {
                // Its own task waits for it in a moment, and this is tried again then.
                return;
            }
            if waitpid(Some(pid), WaitOptions::NOHANG).is_err() {
                return;
            }
        }
    }

    pub(super) fn is_alive(&mut self) -> bool {
        let patience = self.options.watchdog;
        self.serving.as_mut().is_some_and(|serving| serving.silent_since().elapsed() < patience)
    }

    pub(super) fn poll(&mut self) {
        let now = Instant::now();
        let overdue = |limit: Instant| now >= limit;
        for (old, _) in self.old.iter_mut().filter(|(old, limit)| overdue(*limit) && old.killed.is_none()) {
            tracing::warn!(child = old.id(), "an old serving process did not end in time");
            old.kill("it did not end in time");
        }
        if self.ending.is_some() {
            if self.ending.is_some_and(overdue) {
                let all = self.serving.iter_mut().chain(&mut self.next);
                all.for_each(|child| child.kill("it did not end in time"));
            }
            return;
        }
        self.give_up();
        let patience = self.options.watchdog;
        if let Some(serving) = self.serving.as_mut().filter(|serving| serving.ready)
            && serving.silent_since().elapsed() >= patience
        {
            tracing::error!(child = serving.id(), "the serving process shows no sign of life");
            serving.kill_stuck();
            return;
        }
        if self.options.watch_program && self.program.was_replaced() {
            self.renew(Reason::Program, "the program was replaced");
        }
        if let Some((_, attempt)) = self.renew_at.filter(|(at, _)| overdue(*at) && self.next.is_none()) {
            self.renew_with(attempt);
        }
        let limit = self.options.memory_bytes;
        let rested = self.renewed.is_none_or(|last| last.elapsed() >= BETWEEN_RENEWALS);
        if limit > 0
            && rested
            && self.serving.as_ref().is_some_and(|serving| serving.ready && serving.resident_bytes() > limit)
        {
            self.renewed = Some(now);
            self.renew(Reason::Need, "memory");
        }
    }
}
