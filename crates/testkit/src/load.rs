//! Clients that call one path all the time, each on a connection of its own, while a test does something to the host.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a client rests after each answer: a constant load that leaves the host time for other work.
const REST: Duration = Duration::from_millis(4);
/// An answer that takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(30);
/// A client that fails all the time has said enough.
const MAX_FAILURES: usize = 20;

/// A load that runs.
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

/// What came of a load.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Answers that were as they should be.
    pub answers: u64,
    /// All else: broken connections, wrong statuses, wrong answers.
    pub failures: Vec<String>,
}

impl Load {
    /// Starts `clients` that call `path`. Each answer with status 200 is given to `check`, with the floor that was set
    /// when its request went out.
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

    /// Sets what later requests have for a floor.
    pub fn raise_floor(&self, floor: u64) {
        self.shared.floor.store(floor, Ordering::SeqCst);
    }

    /// Waits until `count` more answers have come.
    #[track_caller]
    pub fn wait_for_answers(&self, count: u64) {
        let wanted = self.shared.answers.load(Ordering::SeqCst) + count;
        while self.shared.answers.load(Ordering::SeqCst) < wanted {
            assert!(!self.clients.iter().all(JoinHandle::is_finished), "all clients have given up");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it.
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
    /// Fails unless there were answers and nothing but answers; hands back how many.
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
            thread::sleep(REST);
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
    /// Whether the host has said that it closes the connection.
    is_last: bool,
}

/// One answer, which has a length.
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
