//! The load: a closed loop on each of N kept-alive connections, all of them on one thread.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::BODY;
use crate::error::BenchError;
use crate::histogram::Histogram;
use crate::machine::{cpu_time, cpu_time_of};

/// How much longer than planned a run may take before the server counts as hung.
const GRACE: Duration = Duration::from_secs(10);
/// The largest answer, head and body.
const MAX_ANSWER: usize = 4096;

/// One run.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// The server's process, whose processor time is measured beside the load's.
    pub(crate) process: u32,
    pub(crate) request: Vec<u8>,
    pub(crate) connections: usize,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// How much of its core the load itself used; near 1, while the server has time left, the load was measured.
    pub(crate) load_cpu: f64,
    /// The same of the server; none where the system does not tell.
    pub(crate) server_cpu: Option<f64>,
}

/// A run and where it belongs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) row: &'static str,
    pub(crate) round: u32,
    pub(crate) connections: usize,
    pub(crate) measured: Measured,
}

impl Load {
    pub(crate) fn run(self) -> Result<Measured, BenchError> {
        let limit = self.warm_up + self.time + GRACE;
        within(limit, self.drive())
    }

    async fn drive(self) -> Result<Measured, BenchError> {
        let latencies = Rc::new(RefCell::new(Histogram::default()));
        // All are connected before the clock starts.
        let mut streams = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            streams.push(connect(self.address).await?);
        }
        let begin = Instant::now() + self.warm_up;
        let end = begin + self.time;
        let mut tasks = JoinSet::new();
        for stream in streams {
            let (request, latencies) = (self.request.clone(), Rc::clone(&latencies));
            tasks.spawn_local(connection(stream, request, begin, end, latencies));
        }
        tokio::time::sleep_until(begin.into()).await;
        let (load, server) = (cpu_time(), cpu_time_of(self.process));
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| BenchError::Answer(error.to_string()))??;
        }
        let (load, server_end) = (cpu_time() - load, cpu_time_of(self.process));
        let seconds = self.time.as_secs_f64();
        let latencies = latencies.borrow();
        Ok(Measured {
            per_second: latencies.total() as f64 / seconds,
            p50_us: latencies.percentile_us(50),
            p99_us: latencies.percentile_us(99),
            load_cpu: load.as_secs_f64() / seconds,
            server_cpu: server.zip(server_end).map(|(from, to)| (to - from).as_secs_f64() / seconds),
        })
    }
}

/// One request, and its answer checked.
pub(crate) fn call(address: SocketAddr, request: &[u8]) -> Result<(), BenchError> {
    within(GRACE, async {
        let mut stream = connect(address).await?;
        exchange(&mut stream, request, &mut vec![0; MAX_ANSWER]).await
    })
}

/// One time limit around the whole, rather than a timer for each request, which would be measured too.
fn within<T>(limit: Duration, work: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("starting the load's runtime"))?;
    let limited = async { tokio::time::timeout(limit, work).await.unwrap_or(Err(BenchError::Hung)) };
    LocalSet::new().block_on(&runtime, limited)
}

async fn connect(address: SocketAddr) -> Result<TcpStream, BenchError> {
    let failed = || BenchError::io(format!("connecting to {address}"));
    let stream = TcpStream::connect(address).await.map_err(failed())?;
    stream.set_nodelay(true).map_err(failed())?;
    Ok(stream)
}

/// One connection: request, answer, request, until the time is over.
async fn connection(
    mut stream: TcpStream,
    request: Vec<u8>,
    begin: Instant,
    end: Instant,
    latencies: Rc<RefCell<Histogram>>,
) -> Result<(), BenchError> {
    let mut buffer = vec![0; MAX_ANSWER];
    loop {
        let sent = Instant::now();
        exchange(&mut stream, &request, &mut buffer).await?;
        let done = Instant::now();
        if done >= end {
            return Ok(());
        }
        if sent >= begin {
            latencies.borrow_mut().record(u64::try_from((done - sent).as_nanos()).unwrap_or(u64::MAX));
        }
    }
}

async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> Result<(), BenchError> {
    stream.write_all(request).await.map_err(BenchError::io("sending a request"))?;
    let mut filled = 0;
    while filled < buffer.len() {
        let read = stream.read(&mut buffer[filled..]).await.map_err(BenchError::io("reading an answer"))?;
        if read == 0 {
            return Err(BenchError::Answer("the server closed the connection".to_owned()));
        }
        filled += read;
        if let Some((head, body)) = split(&buffer[..filled])? {
            return check(head, body);
        }
    }
    Err(BenchError::Answer(format!("an answer of more than {MAX_ANSWER} bytes")))
}

/// Head and body, once both are there.
fn split(bytes: &[u8]) -> Result<Option<(&str, &[u8])>, BenchError> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let length =
        length(head).ok_or_else(|| BenchError::Answer(format!("an answer without a length: {head}")))?;
    let body = &bytes[end + 4..];
    Ok((body.len() >= length).then_some((head, body)))
}

/// Servers differ in how they spell the header's name.
fn length(head: &str) -> Option<usize> {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    })?;
    value.trim().parse().ok()
}

fn check(head: &str, body: &[u8]) -> Result<(), BenchError> {
    if head.starts_with("HTTP/1.1 200 ") && body == BODY.as_bytes() {
        return Ok(());
    }
    Err(BenchError::Answer(format!("unexpected answer: {head}\n{}", String::from_utf8_lossy(body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_awaited() {
        for name in ["content-length", "Content-Length"] {
            let whole = format!("HTTP/1.1 200 OK\r\n{name}: 2\r\n\r\nhi").into_bytes();
            for cut in 0..whole.len() {
                assert!(matches!(split(&whole[..cut]), Ok(None)), "{cut}");
            }
            assert!(matches!(split(&whole), Ok(Some((_, b"hi")))));
        }
        assert!(split(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn another_status_or_body_is_no_answer() {
        assert!(check("HTTP/1.1 200 OK", BODY.as_bytes()).is_ok());
        assert!(check("HTTP/1.1 503 Service Unavailable", BODY.as_bytes()).is_err());
        assert!(check("HTTP/1.1 200 OK", b"{}").is_err());
    }

    #[test]
    fn a_server_that_never_answers_ends_the_run() {
        let hung = within(Duration::from_millis(10), std::future::pending::<Result<(), _>>());
        assert!(matches!(hung, Err(BenchError::Hung)));
    }
}
