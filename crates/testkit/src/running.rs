//! [`Running`]: a running host.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::{new_agent, request_with};
use crate::log::Log;
use crate::wait::{PATIENCE, until};
use crate::{Host, LogLine, Response};

/// A listening host; killed when it is dropped.
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
        // It holds the write end of the pipe open.
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

    /// The host's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of its admin listener.
    #[track_caller]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the host has an admin listener")
    }

    /// `GET path` of the admin listener, on a new connection: a pooled one may lead to a process that is about to exit.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Response {
        request_with(&new_agent(), self.admin_address(), "GET", path, &[], b"")
    }

    /// The admin listener's status of a function, `id@version`; null if it is unknown.
    #[track_caller]
    pub fn status(&self, name: &str) -> Value {
        let (id, version) = name.split_once('@').expect("a function's name is id@version");
        let list = self.admin("/functions").json();
        let functions = list["functions"].as_array().expect("a list");
        let found = functions.iter().find(|found| found["id"] == id && found["version"] == version);
        found.cloned().unwrap_or_default()
    }

    /// Polls `ask` until its result is as expected, and returns that.
    #[track_caller]
    pub fn until<T>(&self, ask: impl Fn(&Self) -> T, expected: impl Fn(&T) -> bool) -> T
    where
        T: std::fmt::Debug,
    {
        until(|| ask(self), expected, || format!("the host; log: {:#?}", self.log()))
    }

    /// Its process id: that of the supervisor, if it has one.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The id of the serving process: the latest that the supervisor has started, or the host itself.
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

    /// The builder that it was started from.
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("taken only when it is stopped")
    }

    /// `GET path`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// `GET path` on a new connection: a pooled one may lead to a process that is about to exit.
    #[track_caller]
    pub fn get_anew(&self, path: &str) -> Response {
        request_with(&new_agent(), self.address, "GET", path, &[], b"")
    }

    /// Any request.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        request_with(&self.agent, self.address, method, path, headers, body)
    }

    /// Opens a TCP connection with timeouts for reading and writing.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the host accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout can be set");
        stream
    }

    /// Sends these bytes and returns all bytes until the host closes the connection.
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

    /// Waits until it exits.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let status = || self.child.try_wait().expect("the host can be waited for");
        until(status, Option::is_some, || "the host to exit".to_owned()).expect("it has exited")
    }

    /// Stops it with SIGTERM, waits until it exits, and returns its builder, to start it again.
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
