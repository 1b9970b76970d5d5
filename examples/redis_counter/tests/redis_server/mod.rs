//! A real Redis server for tests, on a loopback port.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

/// A running server. Dropping it kills the server and removes its data.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = free_port();
        let mut server = Self { child: spawn(port, &folder), port, folder };
        // If another process takes the port first, the server exits: try another one.
        for _ in 0..5 {
            if server.answers() {
                return server;
            }
            server.port = free_port();
            server.child = spawn(server.port, &server.folder);
        }
        panic!("redis-server does not start");
    }

    /// The server's URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it and starts an empty one on the same port.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.child = spawn(self.port, &self.folder);
        assert!(self.answers(), "redis-server does not start again on port {}", self.port);
    }

    /// Suspends it: the kernel still accepts connections, but nothing responds.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Resumes it.
    #[track_caller]
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    #[track_caller]
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill can be started").success(), "redis-server cannot be signalled");
    }

    /// Waits until it answers; false if it exits instead.
    #[track_caller]
    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let own_id = format!("process_id:{}\r\n", self.child.id());
        while !info(self.port).is_ok_and(|info| info.contains(&own_id)) {
            if self.child.try_wait().expect("redis-server can be waited for").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

#[track_caller]
fn spawn(port: u16, folder: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("redis-server is not installed: apt-get install redis-server"),
            _ => panic!("redis-server cannot be started: {error}"),
        })
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("it has an address").port()
}

/// The `INFO` of the server at this port, which may be another one than the one just started.
fn info(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"INFO server\r\nQUIT\r\n")?;
    let mut info = String::new();
    stream.read_to_string(&mut info)?;
    Ok(info)
}
