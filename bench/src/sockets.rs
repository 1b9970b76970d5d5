//! WebSockets: echoes beside axum on its own listener, and what open and busy sockets cost.
//!
//! The client writes its frames itself: it is to cost as little as it can, on the CPU that it shares with nobody or, with
//! `--shared`, with the server.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::Arguments;
use crate::cores::Cores;
use crate::error::BenchError;
use crate::figure::Figure;
use crate::server::{Host, Process, sockets_on_axum, sockets_on_hhrf};
use crate::usage::cpu_time_of;

const CONNECTIONS: usize = 64;
/// Of a message of the echo: the longest that has a head of two bytes.
const PAYLOAD: usize = 125;
const OPEN: usize = 10_000;
/// How long open sockets are watched while nothing passes.
const IDLE: Duration = Duration::from_secs(5);
/// In each direction, in messages of this size.
const BULK: u64 = 1 << 30;
const PIECE: usize = 64 << 10;
/// A slow reader: not at all at first, then at most 200 MiB/s.
const ASLEEP: Duration = Duration::from_secs(2);
const SIP: usize = 1 << 20;
const PAUSE: Duration = Duration::from_millis(5);
const WARM_UP: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(120);

/// Binary and final.
const FINAL_BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
/// The length follows in eight bytes.
const LONG: u8 = 127;

const IN_PROCESS: &str = "/rpc/sockets@latest";
const ISOLATED: &str = "/rpc/sockets-isolated@latest";

/// Measures all of them.
pub(crate) fn measure(cores: Cores, arguments: &Arguments) -> Result<Vec<Figure>, BenchError> {
    let deployed = sockets_on_hhrf()?;
    cores.be_server()?;
    let (axum, _axum_process) = sockets_on_axum()?;
    let host = deployed.start()?;
    cores.be_load()?;
    let rows = [(axum, IN_PROCESS), (host.address, IN_PROCESS), (host.address, ISOLATED)];
    let seconds = Duration::from_secs(arguments.seconds);
    let rates = (0..arguments.rounds).map(|_| {
        let rate = |(address, path): (SocketAddr, &str)| run(echoes(address, path.to_owned(), seconds));
        Ok([rate(rows[0])?, rate(rows[1])?, rate(rows[2])?])
    });
    let rates = rates.collect::<Result<Vec<[f64; 3]>, BenchError>>()?;
    drop(host);
    let of = |row: usize| rates.iter().map(move |rates| rates[row] / rates[0]);
    let mut figures = vec![
        Figure::of(
            "echo of 125 bytes, 64 WebSockets, axum on its own listener",
            "1/s",
            rates.iter().map(|rates| rates[0]),
        ),
        Figure::of("the same in hhrf's process, of axum's", "×", of(1)).map(|figure| figure.at_least(0.8)),
        Figure::of("the same isolated, of axum's", "×", of(2)).map(|figure| figure.at_least(0.4)),
    ];
    cores.be_server()?;
    let (axum, axum_process) = sockets_on_axum()?;
    cores.be_load()?;
    figures.extend(open(axum, &axum_process, "axum")?);
    drop(axum_process);
    cores.be_server()?;
    let Host { address, process, .. } = deployed.start()?;
    cores.be_load()?;
    figures.extend(open(address, &process, "hhrf")?);
    drop(process);
    // Another one: this one's memory has grown.
    cores.be_server()?;
    let Host { address, process, .. } = deployed.start()?;
    cores.be_load()?;
    figures.push(bulk(address, &process)?);
    Ok(figures.into_iter().flatten().collect())
}

/// Memory and processor time of sockets over which nothing passes.
fn open(address: SocketAddr, process: &Process, name: &str) -> Result<[Option<Figure>; 2], BenchError> {
    run(async {
        // What the first ones need is not counted.
        drop(connect_all(address, IN_PROCESS, CONNECTIONS).await?);
        tokio::time::sleep(WARM_UP).await;
        let before = process.resident_kib()?;
        let sockets = connect_all(address, IN_PROCESS, OPEN).await?;
        tokio::time::sleep(WARM_UP).await;
        let each = (process.resident_kib()? - before) / OPEN as f64;
        let begin = cpu_time_of(process.serving());
        tokio::time::sleep(IDLE).await;
        let busy = begin.zip(cpu_time_of(process.serving())).map(|(from, to)| to.saturating_sub(from));
        drop(sockets);
        let percent = busy.map(|busy| 100.0 * busy.as_secs_f64() / IDLE.as_secs_f64());
        Ok([
            Figure::of(&format!("10,000 open WebSockets, resident memory of each, {name}"), "KiB", [each]),
            Figure::of(
                &format!("10,000 open WebSockets, of a CPU while nothing passes, {name}"),
                "%",
                percent,
            ),
        ])
    })
}

/// How much more memory it takes to echo a gibibyte to a client that reads slowly.
fn bulk(address: SocketAddr, process: &Process) -> Result<Option<Figure>, BenchError> {
    let most = run(async {
        let (mut reader, mut writer) = connect(address, IN_PROCESS).await?.into_split();
        let before = process.resident_kib()?;
        let frame = frame(PIECE);
        let echoed = BULK / PIECE as u64 * (frame.len() as u64 - 4);
        let send = async {
            for _ in 0..BULK / PIECE as u64 {
                writer.write_all(&frame).await.map_err(BenchError::io("sending a message"))?;
            }
            Ok(())
        };
        let receive = async {
            let mut most: f64 = 0.0;
            tokio::time::sleep(ASLEEP).await;
            let (mut left, mut buffer) = (echoed, vec![0; SIP]);
            while left > 0 {
                let room = usize::try_from(left).unwrap_or(SIP).min(SIP);
                let read = reader.read(&mut buffer[..room]).await;
                let read = read.map_err(BenchError::io("reading a message"))?;
                if read == 0 {
                    return Err(BenchError::Answer("the server closed a socket".to_owned()));
                }
                left -= read as u64;
                most = most.max(process.resident_kib()? - before);
                tokio::time::sleep(PAUSE.mul_f64(read as f64 / SIP as f64)).await;
            }
            Ok(most)
        };
        let ((), most) = tokio::try_join!(send, receive)?;
        Ok(most)
    })?;
    let name = "1 GiB each way over a WebSocket to a slow reader, more resident memory";
    Ok(Figure::of(name, "MiB", [most / 1024.0]).map(|figure| figure.at_most(32.0)))
}

/// Echoes in a second, each socket with one message at a time.
async fn echoes(address: SocketAddr, path: String, time: Duration) -> Result<f64, BenchError> {
    let sockets = connect_all(address, &path, CONNECTIONS).await?;
    let begin = Instant::now() + WARM_UP;
    let end = begin + time;
    let count = Rc::new(Cell::new(0_u64));
    let mut tasks = JoinSet::new();
    for mut socket in sockets {
        let count = Rc::clone(&count);
        tasks.spawn_local(async move {
            let (sent, mut received) = (frame(PAYLOAD), [0; 2 + PAYLOAD]);
            loop {
                socket.write_all(&sent).await.map_err(BenchError::io("sending a message"))?;
                socket.read_exact(&mut received).await.map_err(BenchError::io("reading a message"))?;
                let now = Instant::now();
                if now >= end {
                    return Ok::<_, BenchError>(());
                }
                if now >= begin {
                    count.set(count.get() + 1);
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| BenchError::Answer(error.to_string()))??;
    }
    Ok(count.get() as f64 / time.as_secs_f64())
}

/// A client's message. Its mask is zero, so that the payload stays as it is.
fn frame(length: usize) -> Vec<u8> {
    let mut frame = match u8::try_from(length) {
        Ok(short @ ..=125) => vec![FINAL_BINARY, MASKED | short],
        _ => [&[FINAL_BINARY, MASKED | LONG][..], &(length as u64).to_be_bytes()].concat(),
    };
    frame.extend_from_slice(&[0; 4]);
    frame.resize(frame.len() + length, b'x');
    frame
}

async fn connect_all(address: SocketAddr, path: &str, count: usize) -> Result<Vec<TcpStream>, BenchError> {
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        sockets.push(connect(address, path).await?);
    }
    Ok(sockets)
}

/// Opens a WebSocket.
async fn connect(address: SocketAddr, path: &str) -> Result<TcpStream, BenchError> {
    let failed = || BenchError::io(format!("connecting to {address}"));
    let mut stream = TcpStream::connect(address).await.map_err(failed())?;
    stream.set_nodelay(true).map_err(failed())?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: bench.local\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.map_err(failed())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await.map_err(failed())? {
            0 => break,
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    if answer.starts_with(b"HTTP/1.1 101 ") {
        return Ok(stream);
    }
    Err(BenchError::Answer(format!("no WebSocket at {path}: {}", String::from_utf8_lossy(&answer))))
}

fn run<T>(work: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("starting the load's runtime"))?;
    let limited = async { tokio::time::timeout(LIMIT, work).await.unwrap_or(Err(BenchError::Hung)) };
    LocalSet::new().block_on(&runtime, limited)
}
