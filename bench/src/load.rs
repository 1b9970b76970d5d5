//! The load generator: a closed loop on each of N kept-alive connections, all on one thread.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::error::BenchError;
use crate::exchange::{Exchange, Head};
use crate::machine::{QUIET, await_quiet};
use crate::usage::{busy_time, cpu_time, cpu_time_of};

/// Time beyond a run's planned end after which the server counts as hung.
const GRACE: Duration = Duration::from_secs(10);
/// Tries of a run that other programs disturb.
const TRIES: u32 = 4;
/// Initial size of a connection's buffer.
const BUFFER: usize = 4096;
/// Longest latency that is told apart, in nanoseconds: an hour, more than any run takes.
const MAX_LATENCY: u64 = 3_600_000_000_000;
/// Significant digits of latencies.
const DIGITS: u8 = 2;

/// A run to be made.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// The processes whose processor time is the server's.
    pub(crate) processes: Vec<u32>,
    pub(crate) traffic: Traffic,
    /// Traffic at the same time that is not measured.
    pub(crate) beside: Option<Traffic>,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// Longest wait for the machine to be quiet; if zero, a disturbed run counts.
    pub(crate) patience: Duration,
}

/// Requests in rotation over a number of connections.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) exchanges: Rc<[Exchange]>,
    pub(crate) connections: usize,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPUs that the load used, at most 1. Near 1, with an idle share of the server, the load was measured.
    pub(crate) load_cpu: f64,
    /// CPUs that the server used; none if unknown.
    pub(crate) server_cpu: Option<f64>,
    /// CPUs that all other programs used; none if unknown.
    pub(crate) others_cpu: Option<f64>,
}

/// The time in which answers count.
#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Instant,
    end: Instant,
}

impl Load {
    /// Runs while the machine is quiet, and again if other programs disturbed it; the last try counts in any case.
    pub(crate) fn run(self) -> Result<Measured, BenchError> {
        let limit = self.warm_up + self.time + GRACE;
        let mut tries = if self.patience.is_zero() { 1 } else { TRIES };
        loop {
            await_quiet(self.patience);
            let measured = within(limit, self.drive())?;
            tries -= 1;
            if tries == 0 || measured.others_cpu.is_none_or(|others| others <= QUIET) {
                return Ok(measured);
            }
        }
    }

    async fn drive(&self) -> Result<Measured, BenchError> {
        let latencies = histogram()?;
        // All connections are open before the clock starts.
        let streams = connect_all(self.address, self.traffic.connections).await?;
        let others = match &self.beside {
            Some(traffic) => connect_all(self.address, traffic.connections).await?,
            None => Vec::new(),
        };
        let begin = Instant::now() + self.warm_up;
        let window = Window { begin, end: begin + self.time };
        let mut tasks = JoinSet::new();
        start(&mut tasks, streams, &self.traffic, window, &latencies);
        if let Some(traffic) = &self.beside {
            start(&mut tasks, others, traffic, window, &histogram()?);
        }
        tokio::time::sleep_until(begin.into()).await;
        let server_time = || self.processes.iter().map(|&process| cpu_time_of(process)).sum::<Option<_>>();
        let (load, server, busy): (_, Option<Duration>, _) = (cpu_time(), server_time(), busy_time());
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| BenchError::Answer(error.to_string()))??;
        }
        let (load, server_end, busy_end) = (cpu_time() - load, server_time(), busy_time());
        let server = server.zip(server_end).map(|(from, to)| to.saturating_sub(from));
        let busy = busy.zip(busy_end).map(|(from, to)| to.saturating_sub(from));
        let others = busy.zip(server).map(|(busy, server)| busy.saturating_sub(load + server));
        let seconds = self.time.as_secs_f64();
        let latencies = latencies.borrow();
        Ok(Measured {
            per_second: latencies.len() as f64 / seconds,
            p50_us: latencies.value_at_quantile(0.5) as f64 / 1000.0,
            p99_us: latencies.value_at_quantile(0.99) as f64 / 1000.0,
            load_cpu: load.as_secs_f64() / seconds,
            server_cpu: server.map(|time| time.as_secs_f64() / seconds),
            others_cpu: others.map(|time| time.as_secs_f64() / seconds),
        })
    }
}

/// Latencies of all connections, in nanoseconds.
type Latencies = Rc<RefCell<Histogram<u64>>>;

fn histogram() -> Result<Latencies, BenchError> {
    let made = Histogram::new_with_max(MAX_LATENCY, DIGITS);
    made.map(|histogram| Rc::new(RefCell::new(histogram)))
        .map_err(|error| BenchError::Answer(error.to_string()))
}

fn start(
    tasks: &mut JoinSet<Result<(), BenchError>>,
    streams: Vec<TcpStream>,
    traffic: &Traffic,
    window: Window,
    latencies: &Latencies,
) {
    let turn = Rc::new(Cell::new(0));
    for stream in streams {
        let (exchanges, turn) = (Rc::clone(&traffic.exchanges), Rc::clone(&turn));
        tasks.spawn_local(connection(stream, exchanges, turn, window, Rc::clone(latencies)));
    }
}

/// One time limit for the whole run: a timer for each request would be measured too.
fn within<T>(limit: Duration, work: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("starting the load's runtime"))?;
    let limited = async { tokio::time::timeout(limit, work).await.unwrap_or(Err(BenchError::Hung)) };
    LocalSet::new().block_on(&runtime, limited)
}

async fn connect_all(address: SocketAddr, connections: usize) -> Result<Vec<TcpStream>, BenchError> {
    let failed = || BenchError::io(format!("connecting to {address}"));
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.map_err(failed())?;
        stream.set_nodelay(true).map_err(failed())?;
        streams.push(stream);
    }
    Ok(streams)
}

/// Sends requests on one connection, one after the other, until the window ends.
async fn connection(
    mut stream: TcpStream,
    exchanges: Rc<[Exchange]>,
    turn: Rc<Cell<usize>>,
    window: Window,
    latencies: Latencies,
) -> Result<(), BenchError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let exchange = &exchanges[turn.get()];
        turn.set((turn.get() + 1) % exchanges.len());
        let sent = Instant::now();
        perform(&mut stream, exchange, &mut buffer).await?;
        let done = Instant::now();
        if done >= window.end {
            return Ok(());
        }
        if sent >= window.begin {
            latencies
                .borrow_mut()
                .saturating_record(u64::try_from((done - sent).as_nanos()).unwrap_or(u64::MAX));
        }
    }
}

/// Sends one request and checks its answer. The buffer grows to the largest answer.
async fn perform(
    stream: &mut TcpStream,
    exchange: &Exchange,
    buffer: &mut Vec<u8>,
) -> Result<(), BenchError> {
    stream.write_all(&exchange.request).await.map_err(BenchError::io("sending a request"))?;
    let mut filled = 0;
    let mut head = None;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.map_err(BenchError::io("reading an answer"))?;
        if read == 0 {
            return Err(BenchError::Answer("the server closed the connection".to_owned()));
        }
        filled += read;
        if head.is_none() {
            head = Head::read(&buffer[..filled])?;
        }
        let needed = head.as_ref().map_or(filled + 1, |head| head.body.end);
        if filled >= needed
            && let Some(head) = &head
        {
            return exchange.check(head, &buffer[..filled]);
        }
        if buffer.len() < needed {
            buffer.resize(needed.next_power_of_two(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_never_answers_ends_the_run() {
        let hung = within(Duration::from_millis(10), std::future::pending::<Result<(), _>>());
        assert!(matches!(hung, Err(BenchError::Hung)));
    }

    #[test]
    fn latencies_keep_two_digits() {
        let latencies = histogram().expect("a histogram");
        let mut latencies = latencies.borrow_mut();
        assert_eq!(latencies.value_at_quantile(0.99), 0);
        (1..=100).for_each(|micros| latencies.saturating_record(micros * 1000));
        for (quantile, expected) in [(0.5, 50_000.0), (0.99, 99_000.0)] {
            let found = latencies.value_at_quantile(quantile) as f64;
            assert!((found - expected).abs() <= expected * 0.01, "{quantile}: {found}");
        }
    }
}
