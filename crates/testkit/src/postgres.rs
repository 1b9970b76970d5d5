//! [`Postgres`]: a real PostgreSQL server, for tests of functions that use one.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::running::PATIENCE;

/// Whom the server runs as where the test is run by root, for whom it refuses to run.
const NOBODY: u32 = 65_534;

/// A running server on a loopback port of its own; it ends when this is dropped, and its data with it.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Postgres {
    /// Makes an empty database, starts a server on it and waits until it takes connections.
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
        // Another process may take the port before the server does: it ends then, and tries another one.
        for _ in 0..5 {
            if server.is_ready() {
                return server;
            }
            server.port = free_port();
            server.child = spawn(server.folder.path(), server.port);
        }
        panic!("PostgreSQL does not start: {}", server.log());
    }

    /// The database, for a client: its user needs no password.
    pub fn url(&self) -> String {
        format!("postgres://fezz@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The answer of these statements as `psql` prints it: a line for each row, `|` between the columns.
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

    /// Asks until the answer is this one; fails after a while.
    #[track_caller]
    pub fn until(&self, sql: &str, expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.query(sql);
            if answer == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{sql}: still {answer}, and not {expected}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it, whoever is connected.
    #[track_caller]
    pub fn stop(&mut self) {
        // "Fast": who is connected is cut off, and what is written is kept.
        self.end(Signal::INT);
    }

    /// Starts it again after [`stop`](Self::stop), on the same port and with the same data.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), self.port);
        assert!(self.is_ready(), "PostgreSQL does not start again: {}", self.log());
    }

    /// Waits until it takes connections; false where it has ended instead.
    #[track_caller]
    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let own_id = self.child.id().to_string();
        loop {
            // It writes its process id first and its state last.
            let state =
                fs::read_to_string(data(self.folder.path()).join("postmaster.pid")).unwrap_or_default();
            if state.lines().next() == Some(&own_id) && state.trim_end().ends_with("ready") {
                return true;
            }
            if self.child.try_wait().expect("PostgreSQL can be waited for").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "PostgreSQL is not ready: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(log_file(self.folder.path())).unwrap_or_default()
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
        // "Immediate": nobody needs its data any more. It still ends its own processes, as SIGKILL would not let it.
        self.end(Signal::QUIT);
    }
}

/// Where one of its programs is: in the `PATH`, or where Debian puts those of the newest version.
#[track_caller]
fn program(name: &str) -> PathBuf {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&in_path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("PostgreSQL's {name} is not installed: apt-get install postgresql"))
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
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

/// One of its programs on the data in this folder, as somebody for whom it runs.
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
