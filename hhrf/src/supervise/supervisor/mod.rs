//! The supervisor's event loop: signals, and the start and end of serving processes.

mod blame;
mod poll;
mod start;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use fezz_isolation::host::describe;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::mpsc;

use super::child::{Child, Event, What};
use super::crashes::Crashes;
use super::message::EndSignal;
use super::program::Program;
use super::{Options, Sockets, systemd};
use crate::function::Quarantined;
pub(super) use start::Attempt;
use start::Reason;

/// Poll interval for memory, the program's file and signs of life.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// A serving process that has been up for so long has not crashed while it started.
const SETTLED: Duration = Duration::from_secs(5);
/// The first delay before another start, where the last one did not come to anything, and the longest.
const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// The longest after one that did serve for a while.
const LONGEST_DELAY_READY: Duration = Duration::from_secs(1);
/// How much longer than it should a process may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Supervisor {
    options: Options,
    /// How long an old process may take to end.
    last_wait: Duration,
    sockets: Sockets,
    program: Program,
    crashes: Crashes,
    /// The builds in quarantine, as serving processes know them.
    quarantined: Vec<Quarantined>,
    /// Takes the traffic; none while a new one waits for its start.
    serving: Option<Child>,
    /// Will take it as soon as it is ready.
    next: Option<Child>,
    /// Finish what they have.
    old: Vec<(Child, Instant)>,
    numbers: u64,
    /// Whether any was ever ready: a host that cannot begin is not started again.
    begun: bool,
    delay: Duration,
    start_at: Option<Instant>,
    /// How many serving processes in a row have not come to accept connections.
    failed: u32,
    /// When a new process is started to hand over to, after one that has not come to anything, and how.
    renew_at: Option<(Instant, Attempt)>,
    renewed: Option<Instant>,
    /// Set when there is nothing to be started any more: when those that are left must have ended.
    ending: Option<Instant>,
    /// With which the supervisor ends.
    code: ExitCode,
    events: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,
}

impl Supervisor {
    pub(super) fn begin(options: &Options, sockets: Sockets) -> io::Result<Self> {
        let (events, inbox) = mpsc::unbounded_channel();
        let mut supervisor = Self {
            options: options.clone(),
            last_wait: options.drain + PATIENCE,
            sockets,
            program: Program::started()?,
            crashes: Crashes::new(options.quarantine_crashes, options.quarantine_window),
            quarantined: Vec::new(),
            serving: None,
            next: None,
            old: Vec::new(),
            numbers: 0,
            begun: false,
            delay: FIRST_DELAY,
            start_at: None,
            failed: 0,
            renew_at: None,
            renewed: None,
            ending: None,
            code: ExitCode::SUCCESS,
            events,
            inbox,
        };
        supervisor.serving = Some(supervisor.start(Attempt::default())?);
        Ok(supervisor)
    }

    pub(super) async fn run(mut self) -> ExitCode {
        let listened = (|| {
            Ok::<_, io::Error>((
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
                signal(SignalKind::child())?,
            ))
        })();
        let (mut term, mut int, mut hup, mut child): (Signals, Signals, Signals, Signals) = match listened {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!("the supervisor cannot listen to signals: {error}");
                return ExitCode::FAILURE;
            }
        };
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let watchdog = systemd::watchdog();
        let mut told_alive = Instant::now();
        loop {
            if self.ending.is_some() && self.serving.is_none() && self.next.is_none() && self.old.is_empty() {
                return self.code;
            }
            self.tell_quarantined().await;
            let start_at = self.start_at.map(tokio::time::Instant::from_std);
            tokio::select! {
                Some(event) = self.inbox.recv() => {
                    if let Some(code) = self.event(event).await {
                        self.code = code;
                        self.ending.get_or_insert_with(Instant::now);
                    }
                }
                _ = term.recv() => self.end(EndSignal::Term).await,
                _ = int.recv() => self.end(EndSignal::Int).await,
                _ = hup.recv() => self.renew(Reason::Operator, "SIGHUP"),
                _ = child.recv() => {
                    self.wake();
                    self.reap();
                }
                () = tokio::time::sleep_until(start_at.unwrap_or_else(tokio::time::Instant::now)), if start_at.is_some() => {
                    self.start_at = None;
                    self.replace();
                }
                _ = poll.tick() => {
                    self.poll();
                    self.reap();
                    if watchdog.is_some_and(|often| told_alive.elapsed() >= often) && self.is_alive() {
                        told_alive = Instant::now();
                        systemd::alive();
                    }
                }
            }
        }
    }

    /// What happened to a serving process; a code where this is the end.
    async fn event(&mut self, Event { child, what }: Event) -> Option<ExitCode> {
        match what {
            What::Ready => self.ready(child).await,
            What::WornOut(reason) => {
                if self.serving.as_ref().is_some_and(|serving| serving.number == child) {
                    self.renew(Reason::Need, &reason);
                }
            }
            What::Ended(status) => return self.ended(child, &status),
        }
        None
    }

    async fn ready(&mut self, number: u64) {
        self.begun = true;
        self.failed = 0;
        if let Some(serving) = self.serving.as_mut().filter(|serving| serving.number == number) {
            serving.note_ready(self.quarantined.clone()).await;
            systemd::ready(serving.id());
            return;
        }
        let Some(mut next) = self.next.take_if(|next| next.number == number) else { return };
        next.note_ready(self.quarantined.clone()).await;
        systemd::ready(next.id());
        tracing::info!(child = next.id(), took_ms = millis(next.started.elapsed()), "handed over");
        if let Some(mut before) = self.serving.replace(next) {
            before.hand_over().await;
            self.old.push((before, Instant::now() + self.options.hand_over + self.last_wait));
        }
    }

    fn ended(&mut self, number: u64, status: &io::Result<ExitStatus>) -> Option<ExitCode> {
        let how = status.as_ref().map_or_else(ToString::to_string, |status| describe(*status));
        if let Some(index) = self.old.iter().position(|(old, _)| old.number == number) {
            let (old, _) = self.old.swap_remove(index);
            if status.as_ref().is_ok_and(ExitStatus::success) {
                tracing::debug!(child = old.id(), "the earlier serving process has ended");
            } else {
                self.crashed(&old, status, &how);
            }
            return None;
        }
        if let Some(next) = self.next.take_if(|next| next.number == number) {
            self.next_ended(&next, status, &how);
            return None;
        }
        let serving = self.serving.take_if(|serving| serving.number == number)?;
        if self.ending.is_some() {
            return Some(code(status));
        }
        let cannot_begin = status.as_ref().is_ok_and(|status| status.code().is_some_and(|code| code != 0));
        if !self.begun && cannot_begin {
            return Some(code(status));
        }
        if !serving.ready {
            self.failed += 1;
        }
        let is_blamed = self.crashed(&serving, status, &how);
        // One that crashes again and again as soon as it serves must not take all of the machine for its starts. Where a
        // call is to blame, the quarantine sees to that.
        let came_to_something = serving.since.elapsed() >= SETTLED || (serving.ready && is_blamed);
        let longest = if serving.ready { LONGEST_DELAY_READY } else { LONGEST_DELAY };
        let rest = if came_to_something { Duration::ZERO } else { self.delay.min(longest) };
        self.delay = if came_to_something { FIRST_DELAY } else { (self.delay * 2).min(LONGEST_DELAY) };
        if rest.is_zero() {
            self.replace();
        } else {
            self.start_at = Some(Instant::now() + rest);
        }
        None
    }

    /// Tells serving processes which builds are in quarantine, where that has changed.
    async fn tell_quarantined(&mut self) {
        let quarantined = self.crashes.quarantined(Instant::now());
        if quarantined == self.quarantined {
            return;
        }
        self.quarantined.clone_from(&quarantined);
        // One that is about to begin hears of it when it is ready.
        if let Some(serving) = self.serving.as_mut().filter(|serving| serving.ready) {
            serving.quarantine(quarantined).await;
        }
    }

    /// Has all serving processes end.
    async fn end(&mut self, signal: EndSignal) {
        systemd::stopping();
        self.ending.get_or_insert(Instant::now() + self.last_wait);
        self.start_at = None;
        self.renew_at = None;
        let others = self.next.iter_mut().chain(self.old.iter_mut().map(|(old, _)| old));
        for child in self.serving.iter_mut().chain(others) {
            child.end(signal).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The supervisor ends as its serving process did; a signal is what a shell makes of it.
fn code(status: &io::Result<ExitStatus>) -> ExitCode {
    let Ok(status) = status else { return ExitCode::FAILURE };
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
