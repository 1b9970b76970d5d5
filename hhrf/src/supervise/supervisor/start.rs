//! Starting serving processes: which program, by which settings, and what becomes of those that never accept connections.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::Instant;

use super::{LONGEST_DELAY, Supervisor, millis};
use crate::supervise::child::Child;
use crate::supervise::message::{Begin, SettingsChoice, VERSION};
use crate::supervise::systemd;

/// Why a serving process is replaced by a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Somebody wants it: what is new has to work, or the old process serves on.
    Operator,
    /// The program was replaced.
    Program,
    /// The old process cannot go on for long.
    Need,
}

/// How a serving process is started.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::supervise) struct Attempt {
    /// How many before it have not come to accept connections.
    failed: u32,
    /// Why it is started; none where nothing serves.
    reason: Option<Reason>,
}

impl Attempt {
    /// Every other attempt is made with the program that the supervisor runs, which is known to work.
    const fn with_own_program(self) -> bool {
        self.failed % 2 == 1
    }

    fn settings(self) -> SettingsChoice {
        match self.reason {
            Some(Reason::Operator) => SettingsChoice::Current,
            _ if self.failed > 0 => SettingsChoice::LastGood,
            _ => SettingsChoice::CurrentOrLastGood,
        }
    }
}

impl Supervisor {
    /// Starts a serving process.
    pub(super) fn start(&mut self, attempt: Attempt) -> io::Result<Child> {
        if attempt.with_own_program() {
            return self.start_own(attempt);
        }
        self.program.note_start();
        let result = self.start_with(Command::new(self.program.path()), attempt);
        match result {
            Err(error) if attempt.reason.is_none() => {
                let path = self.program.path().display();
                tracing::error!(
                    "{path} cannot be started, the program of the supervisor serves instead: {error}"
                );
                self.start_own(attempt)
            }
            other => other,
        }
    }

    fn start_own(&mut self, attempt: Attempt) -> io::Result<Child> {
        self.start_with(Command::new(self.program.own()), attempt)
    }

    fn start_with(&mut self, mut command: Command, attempt: Attempt) -> io::Result<Child> {
        self.numbers += 1;
        command.args(std::env::args_os().skip(1));
        let begin = Begin {
            version: VERSION,
            parent: std::process::id(),
            quarantined: self.crashes.quarantined(Instant::now()),
            settings: attempt.settings(),
            state_dir: Some(self.options.state_dir.clone()),
        };
        let child = Child::start(self.numbers, command, &self.sockets, &begin, &self.events, attempt)?;
        tracing::debug!(child = child.id(), ?attempt, "a serving process was started");
        Ok(child)
    }

    /// Another serving process in the place of the one that is gone: the one that is on its way, or a new one.
    pub(super) fn replace(&mut self) {
        if self.serving.is_some() || self.ending.is_some() {
            return;
        }
        self.serving = self.next.take();
        if self.serving.is_some() {
            return;
        }
        match self.start(Attempt { failed: self.failed, reason: None }) {
            Ok(child) => self.serving = Some(child),
            Err(error) => {
                tracing::error!("the serving process cannot be started: {error}");
                self.start_at = Some(Instant::now() + self.delay);
                self.delay = (self.delay * 2).min(LONGEST_DELAY);
            }
        }
    }

    /// Starts a new serving process, to hand over to.
    pub(super) fn renew(&mut self, reason: Reason, why: &str) {
        if self.ending.is_some() {
            return;
        }
        if let Some(next) = &mut self.next {
            if reason == Reason::Need {
                return;
            }
            // It may have been started with what has just been put right.
            tracing::info!(child = next.id(), "the new serving process is given up for another one: {why}");
            next.kill("another one was asked for");
            let next = self.next.take();
            self.old.extend(next.map(|next| (next, Instant::now())));
        }
        tracing::info!(reason = why, "handing over to a new serving process");
        self.renew_with(Attempt { failed: 0, reason: Some(reason) });
    }

    pub(super) fn renew_with(&mut self, attempt: Attempt) {
        self.renew_at = None;
        systemd::reloading();
        let attempt = Attempt { reason: attempt.reason.filter(|_| self.serving.is_some()), ..attempt };
        match self.start(attempt) {
            Ok(child) if self.serving.is_some() => self.next = Some(child),
            Ok(child) => {
                self.start_at = None;
                self.serving = Some(child);
            }
            Err(error) => {
                tracing::error!("the new serving process cannot be started, the old one serves on: {error}");
                self.try_again(attempt);
            }
        }
    }

    /// What becomes of a hand-over whose new process has ended before it was ready.
    pub(super) fn next_ended(&mut self, next: &Child, status: &io::Result<ExitStatus>, how: &str) {
        let took_ms = millis(next.started.elapsed());
        tracing::error!(
            child = next.id(),
            took_ms,
            "the new serving process ended before it was ready: {how}"
        );
        if status.as_ref().is_ok_and(|status| status.signal().is_some()) {
            self.crashed(next, status, how);
        }
        self.try_again(next.attempt);
    }

    /// The old process serves on; where it cannot do so for long, another one is tried.
    fn try_again(&mut self, Attempt { failed, reason }: Attempt) {
        if let Some(serving) = &self.serving {
            systemd::ready(serving.id());
        }
        if reason == Some(Reason::Need) {
            let delay = super::FIRST_DELAY.saturating_mul(1 << failed.min(10)).min(LONGEST_DELAY);
            self.renew_at = Some((Instant::now() + delay, Attempt { failed: failed + 1, reason }));
        }
    }

    /// Gives up processes that do not come to accept connections.
    pub(super) fn give_up(&mut self) {
        if !self.begun {
            // There is nothing else to be tried, and a large folder takes its time at first.
            return;
        }
        let patience = self.options.start;
        for child in self.serving.iter_mut().chain(&mut self.next) {
            if !child.ready && child.killed.is_none() && child.started.elapsed() >= patience {
                let after_ms = millis(patience);
                tracing::error!(
                    child = child.id(),
                    after_ms,
                    "the serving process is given up: it accepts nothing"
                );
                child.kill("it did not come to accept connections");
            }
        }
    }
}
