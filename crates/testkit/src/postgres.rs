//! [`Postgres`]: a real PostgreSQL server for tests.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::build::find_program;
use crate::wait::until;

/// The server refuses to run as root: a test that does starts it as this user and group.
const NOBODY: u32 = 65_534;

/// A running server on a loopback port. Dropping it stops the server and removes its data.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Postgres {
    /// Creates an empty database, starts a server on it and waits until it accepts connections.
    #[track_caller]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        if geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("the folder can be given to nobody");
        }
        make_database(folder.path());
        let port = free_port();
        let child = spawn(folder.path(), port);
        let mut server = Self { folder, port, child };
        // If another process takes the port first, the server exits: try another one.
        for _ in 0..5 {
            if server.is_ready() {
                return server;
            }
            server.port = free_port();
            server.child = spawn(server.folder.path(), server.port);
        }
        panic!("PostgreSQL does not start: {}", log(server.folder.path()));
    }

    /// The database's URL; its user needs no password.
    pub fn url(&self) -> String {
        format!("postgres://fezz@127.0.0.1:{}/postgres", self.port)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The result of these statements as printed by `psql`: a line for each row, `|` between the columns.
    #[track_caller]
    pub fn query(&self, sql: &str) -> String {
        let output = Command::new(program("psql"))
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"])
            .args(["--dbname", &self.url(), "--command", sql])
            .stdin(Stdio::null())
            .output()
            .expect("psql can be started");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until the result of these statements is this one.
    #[track_caller]
    pub fn until(&self, sql: &str, expected: &str) {
        until(|| self.query(sql), |result| result == expected, || format!("{sql} to be {expected}"));
    }

    /// Stops it, and keeps its data.
    #[track_caller]
    pub fn stop(&mut self) {
        // PostgreSQL's fast shutdown: disconnects clients.
        self.end(Signal::INT);
    }

    /// Restarts it after [`stop`](Self::stop), on the same port and with the same data.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), self.port);
        assert!(self.is_ready(), "PostgreSQL does not start again: {}", log(self.folder.path()));
    }

    /// Waits until it accepts connections; false if it exits instead.
    #[track_caller]
    fn is_ready(&mut self) -> bool {
        let folder = self.folder.path();
        let id = self.child.id().to_string();
        let status = || {
            // Its first line is the process id, its last one the state.
            let state = fs::read_to_string(data(folder).join("postmaster.pid")).unwrap_or_default();
            let is_ready = state.lines().next() == Some(&id) && state.trim_end().ends_with("ready");
            let has_exited = self.child.try_wait().expect("PostgreSQL can be waited for").is_some();
            (is_ready, has_exited)
        };
        let is_decided = |(is_ready, has_exited): &(bool, bool)| *is_ready || *has_exited;
        until(status, is_decided, || format!("PostgreSQL: {}", log(folder))).0
    }

    fn end(&mut self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill_process(pid, signal);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // PostgreSQL's immediate shutdown: loses data, but, unlike SIGKILL, ends the server's child processes.
        self.end(Signal::QUIT);
    }
}

/// The path of one of its programs: in the `PATH`, or in Debian's folder of the newest version.
#[track_caller]
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    find_program(name, versions.into_iter().rev())
        .unwrap_or_else(|| panic!("PostgreSQL's {name} is not installed: apt-get install postgresql"))
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn log(folder: &Path) -> String {
    fs::read_to_string(log_file(folder)).unwrap_or_default()
}

#[track_caller]
fn make_database(folder: &Path) {
    let output = command("initdb", folder)
        .args(["--username=fezz", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .output()
        .expect("initdb can be started");
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn spawn(folder: &Path, port: u16) -> Child {
    let log = File::create(log_file(folder)).expect("its log can be written");
    command("postgres", folder)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "fsync=off"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("PostgreSQL can be started")
}

/// One of its programs on the data in this folder, not as root.
#[track_caller]
fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(program(name));
    command.arg("-D").arg(data(folder)).current_dir(folder).stdin(Stdio::null());
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// A port that was free a moment ago.
#[track_caller]
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("it has an address").port()
}
