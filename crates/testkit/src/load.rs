//! [`Load`]: a load generator whose clients call one path, each on its own connection, while a test changes the host.
//!
//! It has its own client: the pool of ureq silently replaces a connection that the host has closed, and such a close is
//! one of the failures that these tests look for.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wait::PATIENCE;

/// Pause of a client after each response: a constant load that leaves the host time for other work.
const PAUSE: Duration = Duration::from_millis(4);
/// A client stops after this many failures.
const MAX_FAILURES: usize = 20;

/// A running load.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Outcome>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    floor: AtomicU64,
    answers: AtomicU64,
}

/// The result of a load.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The number of correct responses.
    pub answers: u64,
    /// Broken connections, wrong statuses, wrong responses.
    pub failures: Vec<String>,
}

impl Load {
    /// Starts `clients` that call `path`. `check` gets the body of each response with status 200, and the floor at the
    /// time of its request.
    pub fn start(
        address: SocketAddr,
        path: &str,
        clients: usize,
        check: impl Fn(u64, &[u8]) -> Result<(), String> + Clone + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let client = |_| {
            let client = Client {
                shared: Arc::clone(&shared),
                address,
                request: request.clone(),
                check: check.clone(),
            };
            thread::spawn(move || client.run())
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    /// Sets the floor of later requests.
    pub fn raise_floor(&self, floor: u64) {
        self.shared.floor.store(floor, Ordering::SeqCst);
    }

    /// Waits for `count` more responses.
    #[track_caller]
    pub fn wait_for_answers(&self, count: u64) {
        let wanted = self.shared.answers.load(Ordering::SeqCst) + count;
        while self.shared.answers.load(Ordering::SeqCst) < wanted {
            assert!(!self.clients.iter().all(JoinHandle::is_finished), "all clients have given up");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops the clients, and returns their results together.
    #[track_caller]
    pub fn stop(self) -> Outcome {
        self.shared.stop.store(true, Ordering::SeqCst);
        let mut whole = Outcome::default();
        for client in self.clients {
            let outcome = client.join().expect("clients do not panic");
            whole.answers += outcome.answers;
            whole.failures.extend(outcome.failures);
        }
        whole
    }
}

impl Outcome {
    /// Fails if there was a failure or no response; returns the number of responses.
    #[track_caller]
    pub fn assert_flawless(&self) -> u64 {
        let failures = &self.failures[..self.failures.len().min(MAX_FAILURES)];
        assert!(
            failures.is_empty(),
            "{} failures beside {} answers: {failures:#?}",
            self.failures.len(),
            self.answers
        );
        assert!(self.answers > 0, "there was no answer at all");
        self.answers
    }
}

struct Client<C> {
    shared: Arc<Shared>,
    address: SocketAddr,
    request: String,
    check: C,
}

impl<C: Fn(u64, &[u8]) -> Result<(), String>> Client<C> {
    fn run(self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut connection = None;
        while !self.shared.stop.load(Ordering::SeqCst) && outcome.failures.len() < MAX_FAILURES {
            match self.call(&mut connection) {
                Ok(()) => {
                    outcome.answers += 1;
                    self.shared.answers.fetch_add(1, Ordering::SeqCst);
                }
                Err(failure) => {
                    connection = None;
                    outcome.failures.push(failure);
                }
            }
            thread::sleep(PAUSE);
        }
        outcome
    }

    fn call(&self, connection: &mut Option<BufReader<TcpStream>>) -> Result<(), String> {
        let floor = self.shared.floor.load(Ordering::SeqCst);
        let stream = match connection {
            Some(stream) => stream,
            None => connection.insert(connect(self.address).map_err(|error| format!("connect: {error}"))?),
        };
        stream.get_mut().write_all(self.request.as_bytes()).map_err(|error| format!("write: {error}"))?;
        let Answer { status, body, is_last } = read(stream).map_err(|error| format!("read: {error}"))?;
        if is_last {
            *connection = None;
        }
        if status != 200 {
            return Err(format!("status {status}: {}", String::from_utf8_lossy(&body)));
        }
        (self.check)(floor, &body)
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    /// Whether the host announced that it closes the connection.
    is_last: bool,
}

/// Reads a response with a `content-length`.
fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let mut status = None;
    let mut length = 0;
    let mut is_last = false;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if status.is_none() {
            status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        } else if let Some(value) = text.strip_prefix("content-length: ") {
            length = value.parse().map_err(io::Error::other)?;
        } else if text == "connection: close" {
            is_last = true;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, body, is_last })
}
