//! A serving process, as the supervisor sees it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Child as StdChild, Command, ExitStatus, Stdio};
use std::time::Instant;

use fezz_isolation::host::kill_orphans_of_host;
use fezz_runtime::sys::crash_record::{self, Crash, RECORD_BYTES};
use fezz_runtime::sys::{Shared, pidfd, send_with_fds, static_tls, wait_on};
use rustix::process::{Pid, Signal, WaitIdOptions, kill_process, waitid};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::Sockets;
use super::last_output::LastOutput;
use super::message::{Begin, EndSignal, Order, Report, Writer, line, split};
use super::program::PROGRAM_VARIABLE;
use super::supervisor::Attempt;
use crate::function::Quarantined;

/// Variables that are the supervisor's own: it is what systemd has started.
const OWN_VARIABLES: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    PROGRAM_VARIABLE,
];

/// What happens to a serving process.
#[derive(Debug)]
pub(super) struct Event {
    /// Its number among those of this supervisor.
    pub(super) child: u64,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Ready,
    WornOut(String),
    Ended(io::Result<ExitStatus>),
}

/// A serving process that is running, or whose end has not been seen yet.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) number: u64,
    pub(super) ready: bool,
    /// When it was started, or became ready.
    pub(super) since: Instant,
    pub(super) started: Instant,
    /// How it was started.
    pub(super) attempt: Attempt,
    /// Why the supervisor has killed it, if it has.
    pub(super) killed: Option<&'static str>,
    /// Whether it was killed since it showed no sign of life.
    pub(super) stuck: bool,
    pid: Pid,
    record: Shared,
    orders: Writer,
    heartbeat: (u32, Instant),
}

impl Child {
    /// Starts one, which reports what happens to `events`.
    pub(super) fn start(
        number: u64,
        mut command: Command,
        sockets: &Sockets,
        begin: &Begin,
        events: &mpsc::UnboundedSender<Event>,
        attempt: Attempt,
    ) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        let (record, record_fd) = Shared::create("fezz-inflight", RECORD_BYTES)?;
        let mut handed = vec![record_fd.as_fd(), sockets.listener.as_fd()];
        handed.extend(sockets.admin.as_ref().map(AsFd::as_fd));
        send_with_fds(&ours, &line(begin)?, &handed)?;
        for variable in OWN_VARIABLES {
            command.env_remove(variable);
        }
        let child = command
            .envs(static_tls::variable())
            .arg0("hhrf: serving")
            .arg("--supervised")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        ours.set_nonblocking(true)?;
        let orders = follow(number, child, pid, UnixStream::from_std(ours)?, events.clone())?;
        let now = Instant::now();
        let heartbeat = (0, now);
        Ok(Self {
            number,
            ready: false,
            since: now,
            started: now,
            attempt,
            killed: None,
            stuck: false,
            pid,
            record,
            orders,
            heartbeat,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// Notes that it accepts connections, and tells it which builds are in quarantine.
    pub(super) async fn note_ready(&mut self, quarantined: Vec<Quarantined>) {
        self.ready = true;
        self.since = Instant::now();
        self.quarantine(quarantined).await;
    }

    /// Its process id.
    pub(super) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Tells it to end. Not by the signal itself, which a function's library may have taken for itself.
    pub(super) async fn end(&mut self, signal: EndSignal) {
        // One that is about to begin has no function yet, and does not listen.
        if !self.ready || self.orders.send(&Order::End { signal }).await.is_err() {
            self.signal(match signal {
                EndSignal::Term => Signal::TERM,
                EndSignal::Int => Signal::INT,
            });
        }
    }

    /// Tells it which builds are in quarantine from here on.
    pub(super) async fn quarantine(&mut self, builds: Vec<Quarantined>) {
        if let Err(error) = self.orders.send(&Order::Quarantine { builds }).await {
            tracing::debug!(child = self.id(), "it is about to end: {error}");
        }
    }

    /// Ends it at once, since a function seems to block all of it. Must not be called once its end was seen.
    pub(super) fn kill_stuck(&mut self) {
        self.stuck = true;
        self.signal(Signal::KILL);
    }

    /// Sends a signal. Must not be called once its end was seen.
    pub(super) fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process(self.pid, signal) {
            tracing::debug!(child = self.id(), "signal {signal:?}: {error}");
        }
    }

    /// Ends it at once, which is nobody's fault. Must not be called once its end was seen.
    pub(super) fn kill(&mut self, why: &'static str) {
        self.killed = Some(why);
        self.signal(Signal::KILL);
    }

    /// Tells it that another one serves now.
    pub(super) async fn hand_over(&mut self) {
        if self.orders.send(&Order::HandOver).await.is_err() {
            // It does not listen any more, and ends the usual way.
            self.signal(Signal::TERM);
        }
    }

    /// What its crash record says.
    pub(super) fn crash(&self) -> Crash {
        crash_record::read(&self.record)
    }

    /// Since when it has shown no sign of life.
    pub(super) fn silent_since(&mut self) -> Instant {
        let beats = crash_record::heartbeat(&self.record);
        if beats != self.heartbeat.0 {
            self.heartbeat = (beats, Instant::now());
        }
        self.heartbeat.1
    }

    /// Lets it go on where it has been stopped: a function can stop the whole process.
    pub(super) fn wake(&self) -> bool {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let stopped = waitid(rustix::process::WaitId::Pid(self.pid), options);
        let stopped = stopped.is_ok_and(|status| status.is_some_and(|status| status.stopped()));
        if stopped {
            self.signal(Signal::CONT);
        }
        stopped
    }

    /// Its resident memory in bytes; 0 if it is not known.
    pub(super) fn resident_bytes(&self) -> u64 {
        resident_bytes(self.pid)
    }
}

#[cfg(target_os = "linux")]
fn resident_bytes(pid: Pid) -> u64 {
    let statm = procfs::process::Process::new(pid.as_raw_pid()).and_then(|process| process.statm());
    statm.map_or(0, |statm| statm.resident * procfs::page_size())
}

#[cfg(not(target_os = "linux"))]
const fn resident_bytes(_: Pid) -> u64 {
    0
}

/// Reports what it says, and its end, which comes last.
fn follow(
    number: u64,
    mut child: StdChild,
    pid: Pid,
    socket: UnixStream,
    events: mpsc::UnboundedSender<Event>,
) -> io::Result<Writer> {
    let ended = wait_on(pidfd(pid)?)?;
    let (mut reader, writer) = split(socket);
    tokio::spawn(async move {
        // Without a receiver the supervisor is ending.
        let tell = |what| _ = events.send(Event { child: number, what });
        let mut last_output = None;
        let reports = async {
            while let Some(report) = reader.next::<Report>().await {
                match report {
                    Report::Ready => {
                        last_output = Some(LastOutput::of(pid));
                        tell(What::Ready);
                    }
                    Report::WornOut { reason } => tell(What::WornOut(reason)),
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = reports => {}
            _ = ended.readable() => {}
        }
        let status = child.wait();
        if let Some(last_output) = last_output {
            last_output.pass_on();
        }
        let host = pid.as_raw_pid().unsigned_abs();
        let orphans = tokio::task::spawn_blocking(move || kill_orphans_of_host(host));
        // After a crash the next process is started first; otherwise the supervisor may be about to end.
        if status.as_ref().is_ok_and(ExitStatus::success) {
            let _ = orphans.await;
        }
        tell(What::Ended(status));
    });
    Ok(writer)
}
