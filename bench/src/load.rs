//! The load: a closed loop on each of N kept-alive connections, all of them on one thread.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::error::BenchError;
use crate::exchange::{Exchange, Head};
use crate::histogram::Histogram;
use crate::machine::{QUIET, await_quiet, busy_time, cpu_time, cpu_time_of};

/// How much longer than planned a run may take before the server counts as hung.
const GRACE: Duration = Duration::from_secs(10);
/// How often to try to run in a quiet moment.
const TRIES: u32 = 4;
/// What a connection reads at once, at least.
const BUFFER: usize = 4096;

/// One run.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// The server's processes, whose processor time is measured beside the load's.
    pub(crate) processes: Vec<u32>,
    pub(crate) traffic: Traffic,
    /// Further traffic at the same time, which is not measured.
    pub(crate) beside: Option<Traffic>,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// How long to wait for a quiet moment; with none the run is taken as it comes.
    pub(crate) patience: Duration,
}

/// Requests, in rotation, over so many connections.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) exchanges: Rc<[Exchange]>,
    pub(crate) connections: usize,
}

/// What a run came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// How much of its core the load itself used; near 1, while the server has time left, the load was measured.
    pub(crate) load_cpu: f64,
    /// The same of the server; none where the system does not tell.
    pub(crate) server_cpu: Option<f64>,
    /// What anybody else used of all CPUs, in CPUs; much of it makes the run worthless.
    pub(crate) others_cpu: Option<f64>,
}

/// From when to when answers count.
#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Instant,
    end: Instant,
}

impl Load {
    /// Runs in a quiet moment, and again where it was disturbed; the last try counts whatever it was.
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
        let latencies = Rc::new(RefCell::new(Histogram::default()));
        // All are connected before the clock starts.
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
            start(&mut tasks, others, traffic, window, &Rc::default());
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
            per_second: latencies.total() as f64 / seconds,
            p50_us: latencies.percentile_us(50),
            p99_us: latencies.percentile_us(99),
            load_cpu: load.as_secs_f64() / seconds,
            server_cpu: server.map(|time| time.as_secs_f64() / seconds),
            others_cpu: others.map(|time| time.as_secs_f64() / seconds),
        })
    }
}

fn start(
    tasks: &mut JoinSet<Result<(), BenchError>>,
    streams: Vec<TcpStream>,
    traffic: &Traffic,
    window: Window,
    latencies: &Rc<RefCell<Histogram>>,
) {
    let turn = Rc::new(Cell::new(0));
    for stream in streams {
        let (exchanges, turn) = (Rc::clone(&traffic.exchanges), Rc::clone(&turn));
        tasks.spawn_local(connection(stream, exchanges, turn, window, Rc::clone(latencies)));
    }
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

/// One connection: request, answer, request, until the time is over.
async fn connection(
    mut stream: TcpStream,
    exchanges: Rc<[Exchange]>,
    turn: Rc<Cell<usize>>,
    window: Window,
    latencies: Rc<RefCell<Histogram>>,
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
            latencies.borrow_mut().record(u64::try_from((done - sent).as_nanos()).unwrap_or(u64::MAX));
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
}
