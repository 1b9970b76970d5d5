//! The load: a closed loop on each of N kept-alive connections, all of them on one thread.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::machine::cpu_time;
use crate::server::{BenchError, check_answer};

/// One run.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
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
    /// How much of its core the load itself used; near 1, the load is what was measured.
    pub(crate) load_cpu: f64,
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, self.drive())
    }

    async fn drive(self) -> Result<Measured, BenchError> {
        let begin = Instant::now() + self.warm_up;
        let end = begin + self.time;
        let latencies = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = Vec::new();
        for _ in 0..self.connections {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let (request, latencies) = (self.request.clone(), Rc::clone(&latencies));
            tasks.push(tokio::task::spawn_local(connection(stream, request, begin, end, latencies)));
        }
        tokio::time::sleep_until(begin.into()).await;
        let cpu = cpu_time();
        for task in tasks {
            task.await.map_err(|error| BenchError::Answer(error.to_string()))??;
        }
        let load_cpu = (cpu_time() - cpu).as_secs_f64() / self.time.as_secs_f64();
        let mut latencies = latencies.take();
        latencies.sort_unstable();
        Ok(Measured {
            per_second: latencies.len() as f64 / self.time.as_secs_f64(),
            p50_us: percentile(&latencies, 50),
            p99_us: percentile(&latencies, 99),
            load_cpu,
        })
    }
}

/// One connection: request, answer, request, until the time is over. Nanoseconds go to `latencies`.
async fn connection(
    mut stream: TcpStream,
    request: Vec<u8>,
    begin: Instant,
    end: Instant,
    latencies: Rc<RefCell<Vec<u64>>>,
) -> Result<(), BenchError> {
    let mut buffer = vec![0; 4096];
    loop {
        let sent = Instant::now();
        stream.write_all(&request).await?;
        read_answer(&mut stream, &mut buffer).await?;
        let done = Instant::now();
        if done >= end {
            return Ok(());
        }
        if sent >= begin {
            let nanos = u64::try_from((done - sent).as_nanos()).unwrap_or(u64::MAX);
            latencies.borrow_mut().push(nanos);
        }
    }
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(), BenchError> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err(BenchError::Answer("the server closed the connection".to_owned()));
        }
        filled += read;
        if let Some((head, body)) = split(&buffer[..filled])? {
            return check_answer(head, body);
        }
    }
}

/// Head and body, once both are there.
fn split(bytes: &[u8]) -> Result<Option<(&str, &[u8])>, BenchError> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
        .ok_or_else(|| BenchError::Answer(format!("an answer without a length: {head}")))?;
    let body = &bytes[end + 4..];
    Ok((body.len() >= length).then_some((head, body)))
}

/// A percentile of sorted nanoseconds, in microseconds.
fn percentile(sorted: &[u64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_awaited() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        for cut in 0..whole.len() {
            assert!(matches!(split(&whole[..cut]), Ok(None)), "{cut}");
        }
        assert!(matches!(split(whole), Ok(Some((_, b"hi")))));
        assert!(split(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn percentiles_are_of_the_sorted() {
        let sorted: Vec<u64> = (1..=100).map(|value| value * 1000).collect();
        assert!((percentile(&sorted, 50) - 51.0).abs() < 0.01);
        assert!((percentile(&sorted, 99) - 100.0).abs() < 0.01);
        assert!(percentile(&[], 99).abs() < 0.01);
    }
}
