//! A host that runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::{new_agent, request_with};
use crate::log::Log;
use crate::{Host, LogLine, Response};

/// No test waits for longer than this for any one thing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A host that listens; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    host: Option<Host>,
    child: Child,
    log: Log,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    agent: ureq::Agent,
}

impl Running {
    #[track_caller]
    pub(crate) fn start(host: Host, mut command: Command) -> Self {
        let mut child = command.spawn().expect("the host can be started");
        // The command keeps what it hands over open.
        drop(command);
        let log = Log::follow(child.stderr.take().expect("stderr is piped"));
        let Some(line) = log.wait_for(|line| line.message() == "listening") else {
            let _ = child.kill();
            panic!("the host did not start: {:#?}", log.lines());
        };
        let address = |line: &LogLine| line.field("address").parse().expect("the address is logged");
        let admin = log.lines().iter().find(|line| line.message() == "admin listening").map(address);
        let address = address(&line);
        Self { host: Some(host), child, log, address, admin, agent: new_agent() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin listener listens.
    #[track_caller]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the host has an admin listener")
    }

    /// `GET path` of the admin listener.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Response {
        request_with(&self.agent, self.admin_address(), "GET", path, &[], b"")
    }

    /// What the admin listener says of a function, `id@version`; null where it knows none of that name.
    #[track_caller]
    pub fn status(&self, name: &str) -> Value {
        let (id, version) = name.split_once('@').expect("a function's name is id@version");
        let list = self.admin("/functions").json();
        let functions = list["functions"].as_array().expect("a list");
        let found = functions.iter().find(|found| found["id"] == id && found["version"] == version);
        found.cloned().unwrap_or_default()
    }

    /// Asks until the answer is as it is expected to be, and hands it back; fails after a while.
    #[track_caller]
    pub fn until<T>(&self, ask: impl Fn(&Self) -> T, expected: impl Fn(&T) -> bool) -> T
    where
        T: std::fmt::Debug,
    {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = ask(self);
            if expected(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "still {answer:?}; log: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its process id: that of the supervisor, where it has one.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The id of the process that serves: the latest that the supervisor has started, or the host itself.
    pub fn serving_pid(&self) -> u32 {
        let pid = self.pid();
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let is_serving = |child: &u32| {
            let arguments = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            arguments.split(|byte| *byte == 0).any(|argument| argument == b"--supervised")
        };
        children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
            .filter(is_serving)
            .max()
            .unwrap_or(pid)
    }

    /// What it was started from.
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("taken only when it is stopped")
    }

    /// `GET path`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// `GET path` on a new connection: those that are kept may be to a process that is about to be gone.
    #[track_caller]
    pub fn get_anew(&self, path: &str) -> Response {
        request_with(&new_agent(), self.address, "GET", path, &[], b"")
    }

    /// Any request.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        request_with(&self.agent, self.address, method, path, headers, body)
    }

    /// Opens a plain connection, whose reads and writes fail after a while.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the host accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout can be set");
        stream
    }

    /// Sends these bytes and answers with all that comes back until the host closes the connection.
    #[track_caller]
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("the bytes can be sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the host answers and closes");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// All log lines so far.
    pub fn log(&self) -> Vec<LogLine> {
        self.log.lines()
    }

    /// Waits for a log line.
    #[track_caller]
    pub fn wait_for_log(&self, matches: impl Fn(&LogLine) -> bool) -> LogLine {
        self.log.wait_for(matches).unwrap_or_else(|| panic!("no such line in {:#?}", self.log.lines()))
    }

    /// Sends a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the host can be signalled");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the host can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the host did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to end (SIGTERM), waits, and hands back what it was started from, to start it again.
    #[track_caller]
    pub fn stop(mut self) -> Host {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "the host ended with {status}: {:#?}", self.log.lines());
        self.host.take().expect("taken only here")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
