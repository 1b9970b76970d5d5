//! Clients, functions and readers that would stop the host if they could.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, Running, library};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{async_host, bare, host, wait_until};

/// All routes of the upload fixture.
const UPLOAD_ROUTES: &[(&str, &str)] = &[
    ("ANY", "/ping"),
    ("ANY", "/upload"),
    ("ANY", "/upload-late/{ms}"),
    ("ANY", "/headers/{count}"),
    ("ANY", "/bytes/{count}"),
    ("ANY", "/log/{bytes}"),
    ("ANY", "/abort"),
];

fn upload() -> PathBuf {
    library("fezz-fixture-upload")
}

fn with_upload(host: Host, more: Value) -> Host {
    host.function_with("up@1.0.0", &upload(), UPLOAD_ROUTES, more)
}

#[test]
fn a_body_that_falls_silent_is_408_however_much_came_before() {
    let host = host().env("HHRF_BODY_TIMEOUT_MS", "400").start();
    let mut client = post(&host, "/rpc/fix/echo", 10_000_000);
    client.write_all(&vec![0; 9_900_000]).expect("sent");
    assert!(rest(&mut client).starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_whole_body_has_a_deadline() {
    let host = host().env("HHRF_BODY_TIMEOUT_MS", "200").env("HHRF_BODY_DEADLINE_MS", "1500").start();
    let begin = Instant::now();
    let mut client = post(&host, "/rpc/fix/echo", 10_000_000);
    let mut dripping = client.try_clone().expect("a clone");
    thread::scope(|scope| {
        // Ten times as fast as the minimum.
        scope.spawn(move || {
            while dripping.write_all(&[0; 512]).is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        assert!(rest(&mut client).starts_with("HTTP/1.1 408 "));
        assert!(begin.elapsed() >= Duration::from_millis(1400));
        drop(client.shutdown(Shutdown::Both));
    });
}

#[test]
fn all_request_bodies_share_their_memory() {
    let host = host().env("HHRF_REQUEST_MEMORY_BYTES", "1000000").start();
    let mut large = post(&host, "/rpc/fix/echo", 900_001);
    large.write_all(&[0; 900_000]).expect("sent");
    wait_until(|| host.admin("/metrics").text().contains("fezz_request_memory_bytes 900000"));
    let refused = host.request("POST", "/rpc/fix/echo", &[], &[0; 200_000]);
    assert_eq!(refused.assert_problem(503).header("retry-after"), Some("1"));
    host.request("POST", "/rpc/fix/echo", &[], &[0; 50_000]).assert_status(200);
    large.write_all(&[0]).expect("sent");
    read_until(&mut large, b"200 OK");
    drop(large);
    wait_until(|| host.request("POST", "/rpc/fix/echo", &[], &[0; 200_000]).status == 200);
}

/// A machine that is gone sends no FIN: the kernel has to ask.
#[test]
#[cfg(target_os = "linux")]
fn idle_connections_are_probed() {
    let host = async_host(json!({})).start();
    for path in ["/rpc/async@1.0.0/forever", "/rpc/fix/sleep/20000"] {
        let client = get(&host, path);
        let port = |address: std::net::SocketAddr| format!("0100007F:{:04X}", address.port());
        let ends = (port(host.address()), port(client.local_addr().expect("an address")));
        let timer = || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the table");
            let is_it = |line: &&str| {
                let mut fields = line.split_whitespace().skip(1);
                (fields.next(), fields.next()) == (Some(ends.0.as_str()), Some(ends.1.as_str()))
            };
            let line = table.lines().find(is_it).map(str::to_owned);
            line.and_then(|line| line.split_whitespace().nth(5).map(str::to_owned)).unwrap_or_default()
        };
        // 02 is the keepalive timer.
        wait_until(|| timer().starts_with("02:"));
    }
}

#[test]
fn a_client_that_shuts_down_its_half_is_answered() {
    let host = with_upload(async_host(json!({})), json!({})).start();
    let answer = |request: &[u8]| {
        let mut client = host.connect();
        client.write_all(request).expect("sent");
        client.shutdown(Shutdown::Write).expect("shut down");
        rest(&mut client)
    };
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    for path in ["/rpc/fix/ping", "/rpc/async@1.0.0/ping", "/rpc/fix/sleep/50", "/rpc/up@1.0.0/ping"] {
        let text = answer(request(path).as_bytes());
        assert!(text.starts_with("HTTP/1.1 200 "), "{path}: {text}");
    }
    // Asked meanwhile whether it is still there, which a client of HTTP/1.1 skips.
    for path in ["/rpc/fix/sleep/1200", "/rpc/async@1.0.0/sleep/1200"] {
        let text = answer(request(path).as_bytes());
        assert!(text.contains("HTTP/1.1 200 ") && text.ends_with("slept"), "{path}: {text}");
    }
    let old = answer(b"GET /rpc/fix/sleep/400 HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200 ") && old.ends_with("slept"), "{old}");
    for path in ["/rpc/up@1.0.0/bytes/20000000", "/rpc/fix/stream/100", "/rpc/async@1.0.0/stream-slow"] {
        let text = answer(request(path).as_bytes());
        let expected = if path.contains("bytes") {
            20_000_000
        } else if path.contains("slow") {
            6
        } else {
            6_553_600
        };
        let end = if path.contains("bytes") { "x" } else { "0\r\n\r\n" };
        assert!(text.starts_with("HTTP/1.1 200 ") && text.len() > expected && text.ends_with(end), "{path}");
    }
    let pipelined = answer([request("/rpc/fix/sleep/300"), request("/rpc/fix/ping")].concat().as_bytes());
    assert!(pipelined.matches("HTTP/1.1 200 OK").count() == 2 && pipelined.ends_with("pong"), "{pipelined}");
    let posted = answer(b"POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc");
    assert!(posted.starts_with("HTTP/1.1 200 ") && posted.ends_with("abc"), "{posted}");
    let cut = answer(b"POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nab");
    assert!(!cut.contains("200 OK"), "{cut}");
}

#[test]
fn a_slow_reader_is_not_cut() {
    let host = with_upload(bare(), json!({})).env("HHRF_WRITE_TIMEOUT_MS", "400").start();
    let mut client = get(&host, "/rpc/up@1.0.0/bytes/8000000");
    let (mut piece, mut received) = (vec![0; 60_000], 0);
    loop {
        match client.read(&mut piece).expect("it is not cut") {
            0 => break,
            count => received += count,
        }
        if received >= 8_000_000 {
            break;
        }
        thread::sleep(Duration::from_millis(40));
    }
    assert!(received >= 8_000_000, "{received}");
}

#[test]
fn a_function_may_answer_with_any_number_of_headers() {
    let host = with_upload(bare(), json!({}));
    let host =
        host.function_with("iso@1.0.0", &upload(), UPLOAD_ROUTES, json!({ "isolation": "process" })).start();
    for name in ["up@1.0.0", "iso@1.0.0"] {
        let status = |method: &str, count: usize| {
            let mut client = host.connect();
            write!(
                client,
                "{method} /rpc/{name}/headers/{count} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            )
            .expect("sent");
            rest(&mut client).get(9..12).map(str::to_owned)
        };
        for method in ["GET", "HEAD"] {
            assert_eq!(status(method, 1_000).as_deref(), Some("200"), "{name}");
            for count in (24_555..24_580).chain([25_000, 32_767]) {
                let status = status(method, count);
                assert!(
                    matches!(status.as_deref(), Some("200" | "502")),
                    "{name} {method} {count}: {status:?}"
                );
            }
            assert_eq!(status(method, 25_000).as_deref(), Some("502"), "{name}");
        }
    }
    assert!(!host.log().iter().any(|line| line.message().contains("defect")), "{:#?}", host.log());
}

#[test]
fn an_answer_in_one_piece_has_a_limit() {
    let more = json!({ "max_response_bytes": 1_000_000 });
    let mut isolated = more.clone();
    isolated["isolation"] = json!("process");
    let host =
        with_upload(bare(), more).function_with("iso@1.0.0", &upload(), UPLOAD_ROUTES, isolated).start();
    for name in ["up@1.0.0", "iso@1.0.0"] {
        let answer = |bytes: u32| host.get(&format!("/rpc/{name}/bytes/{bytes}"));
        assert_eq!(answer(1_000_000).assert_status(200).body.len(), 1_000_000);
        answer(1_000_001).assert_problem(502);
        answer(50_000_000).assert_problem(502);
        assert_eq!(answer(10).assert_status(200).body.len(), 10);
    }
    host.wait_for_log(|line| line.message().contains("1000001 bytes, and 1000000 are the most"));
}

/// What isolated functions answer waits in their workers, and what others do is refused.
#[test]
fn answers_that_nobody_reads_share_their_memory() {
    const LENGTH: usize = 30_000_000;
    let isolated = json!({ "isolation": "process", "workers": { "max": 8 }, "worker_concurrency": 4 });
    let host = with_upload(bare(), json!({}))
        .function_with("iso@1.0.0", &upload(), UPLOAD_ROUTES, isolated)
        .env("HHRF_RESPONSE_MEMORY_BYTES", "70000000")
        .start();
    host.get("/rpc/iso@1.0.0/ping").assert_status(200);
    let before = resident(&host);
    let path = format!("/rpc/iso@1.0.0/bytes/{LENGTH}");
    let mut clients: Vec<_> = (0..8).map(|_| get(&host, &path)).collect();
    for client in &mut clients {
        client.read_exact(&mut [0; 9]).expect("it begins");
    }
    let grown = resident(&host).saturating_sub(before);
    assert!(grown < 150_000_000, "{grown} bytes");
    for client in &mut clients {
        let mut answer = Vec::new();
        read_to_length(client, &mut answer, LENGTH);
        assert!(answer.windows(15).any(|text| text == b"content-length:"));
    }
    drop(clients);
    let path = format!("/rpc/up@1.0.0/bytes/{LENGTH}");
    wait_until(|| host.get(&path).status == 200);
    let _clients: Vec<_> = (0..2)
        .map(|_| {
            let mut client = get(&host, &path);
            client.read_exact(&mut [0; 9]).expect("it begins");
            client
        })
        .collect();
    let refused = host.get_anew(&path);
    assert_eq!(refused.assert_problem(503).header("retry-after"), Some("1"));
    host.get_anew("/rpc/up@1.0.0/bytes/1000").assert_status(200);
}

#[test]
fn streams_that_hold_all_workers_are_named_to_those_who_wait() {
    let more = json!({ "isolation": "process", "workers": { "max": 1 }, "timeout_ms": 1500 });
    let host = async_host(more).start();
    host.get("/rpc/async@1.0.0/ping").assert_status(200);
    let mut stream = get(&host, "/rpc/async@1.0.0/stream-forever");
    stream.read_exact(&mut [0; 1000]).expect("it streams");
    let refused = host.get_anew("/rpc/async@1.0.0/ping");
    assert!(refused.assert_problem(503).text().contains("no worker"), "{}", refused.text());
    assert_eq!(refused.header("retry-after"), Some("1"));
}

/// A slow upload is its client's fault, and not that of the worker's other calls.
#[test]
fn an_upload_that_misses_its_deadline_harms_no_other_call_of_its_worker() {
    let more = json!({
        "isolation": "process",
        "workers": { "max": 1 },
        "worker_concurrency": 2,
        "timeout_ms": 4000,
    });
    let host = async_host(more).start();
    host.get("/rpc/async@1.0.0/ping").assert_status(200);
    for _ in 0..2 {
        let mut late = post(&host, "/rpc/async@1.0.0/upload", 1000);
        late.write_all(b"the beginning").expect("sent");
        wait_until(|| host.status("async@1.0.0")["in_flight"] == 1);
        thread::sleep(Duration::from_millis(2000));
        thread::scope(|scope| {
            let other = scope.spawn(|| host.get_anew("/rpc/async@1.0.0/sleep/2500").status.as_u16());
            assert!(rest_of_head(&mut late).starts_with("HTTP/1.1 504 "));
            assert_eq!(other.join().expect("answered"), 200);
        });
    }
    assert_eq!(
        host.status("async@1.0.0")["isolation"]["workers"][0]["calls"].as_u64().map(|calls| calls >= 5),
        Some(true)
    );
}

/// Its deadline ends an upload that does not end by itself, and frees its thread and its permit.
#[test]
fn the_deadline_of_a_plain_function_ends_its_upload() {
    let more = json!({ "timeout_ms": 800, "max_concurrency": 6, "max_queue": 0 });
    let host = with_upload(host(), more)
        .env("HHRF_BLOCKING_THREADS", "8")
        .env("HHRF_BODY_TIMEOUT_MS", "60000")
        .start();
    let mut clients: Vec<_> = (0..6)
        .map(|_| {
            let mut client = post(&host, "/rpc/up@1.0.0/upload", 100_000);
            client.write_all(&[0; 60_000]).expect("sent");
            client
        })
        .collect();
    wait_until(|| host.status("up@1.0.0")["in_flight"] == 6);
    for client in &mut clients {
        let head = rest_of_head(client);
        assert!(head.starts_with("HTTP/1.1 504 ") || head.starts_with("HTTP/1.1 400 "), "{head}");
    }
    // Though the clients are still there.
    wait_until(|| host.status("up@1.0.0")["in_flight"] == 0);
    host.get_anew("/rpc/up@1.0.0/ping").assert_status(200);
    assert_eq!(host.status("up@1.0.0")["abandoned"], 0);
}

/// They are gone, and their calls end in time: that is no overload.
#[test]
fn clients_that_leave_do_not_overload_a_function() {
    let host = host().env("HHRF_ABANDONED_MAX", "3").start();
    let begin = Instant::now();
    let mut waiting: Vec<_> = (0..8).map(|_| get(&host, "/rpc/fix/sleep/2500")).collect();
    wait_until(|| host.status("fix@latest")["in_flight"] == 8);
    waiting.clear();
    // The host notices within this time that they are gone.
    while begin.elapsed() < Duration::from_millis(2000) {
        host.get_anew("/rpc/fix/ping").assert_status(200);
    }
    assert_eq!(host.status("fix@latest")["abandoned"], 0);
}

/// Standard error is a FIFO that nobody reads, and a function writes to everything that it can write to.
#[test]
#[cfg(target_os = "linux")]
fn a_log_that_nobody_reads_stops_nothing() {
    let host = with_upload(bare(), json!({}));
    let fifo = host.root().join("log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).expect("a FIFO");
    let held = OpenOptions::new().read(true).write(true).open(&fifo).expect("opened");
    let (mut child, ports) = start_with(&host, held.try_clone().expect("a clone").into());
    let get = |path: &str, port: u16| {
        let mut client = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        write!(client, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n")
            .expect("sent");
        rest(&mut client)
    };
    for call in 0..1500 {
        let answer = get("/rpc/up@1.0.0/log/2000", ports.0);
        assert!(answer.starts_with("HTTP/1.1 200 "), "call {call}: {answer}");
    }
    assert!(get("/livez", ports.1).starts_with("HTTP/1.1 200 "));
    // Somebody reads at last, and learns what was lost.
    let lines = BufReader::new(File::open(&fifo).expect("opened")).lines();
    let told = lines.map_while(Result::ok).find(|line| line.contains("were dropped"));
    assert!(told.is_some_and(|line| line.contains("WARN")));
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("an id")).expect("an id");
    kill_process(pid, Signal::TERM).expect("signalled");
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().expect("waited for").is_none() {
        assert!(Instant::now() < deadline, "SIGTERM does nothing");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn printing_to_a_closed_pipe_is_no_error() {
    let host = with_upload(bare(), json!({}));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = host.command();
    command.stdout(Stdio::from(writer));
    let host = host.start_as(command);
    for _ in 0..5 {
        host.get("/rpc/up@1.0.0/log/10").assert_status(200);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_last_words_of_a_crash_are_not_lost() {
    let host = with_upload(bare(), json!({}));
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let (mut child, ports) = start_with(&host, Stdio::from(writer));
    let mut client = TcpStream::connect(("127.0.0.1", ports.0)).expect("connected");
    write!(client, "GET /rpc/up@1.0.0/abort HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    rest(&mut client);
    // The supervisor has started another one by then.
    let again = |port| {
        TcpStream::connect(("127.0.0.1", port)).and_then(|mut client| {
            write!(client, "GET /rpc/up@1.0.0/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
            Ok(rest(&mut client))
        })
    };
    wait_until(|| again(ports.0).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")));
    child.kill().expect("killed");
    child.wait().expect("waited for");
    let mut log = String::new();
    reader.read_to_string(&mut log).expect("the log");
    assert!(log.contains("about to abort") && log.contains("these are my last words"), "{log}");
}

/// Starts the host on ports that are free now; its log cannot tell which they are. Waits until it answers.
fn start_with(host: &Host, stderr: Stdio) -> (Child, (u16, u16)) {
    let free = || TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
    let ports = (free(), free());
    let mut command: Command = host.command();
    command
        .env("HHRF_LISTEN", format!("127.0.0.1:{}", ports.0))
        .env("HHRF_ADMIN", format!("127.0.0.1:{}", ports.1));
    let child = command.stderr(stderr).spawn().expect("started");
    wait_until(|| TcpStream::connect(("127.0.0.1", ports.1)).is_ok());
    let is_ready = || {
        let mut client = TcpStream::connect(("127.0.0.1", ports.1)).ok()?;
        write!(client, "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n", ports.1)
            .ok()?;
        Some(rest(&mut client).starts_with("HTTP/1.1 200 "))
    };
    wait_until(|| is_ready() == Some(true));
    (child, ports)
}

fn get(host: &Running, path: &str) -> TcpStream {
    let mut client = host.connect();
    write!(client, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    client
}

/// A request that announces a body, and has not sent it yet.
fn post(host: &Running, path: &str, length: usize) -> TcpStream {
    let mut client = host.connect();
    write!(client, "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n").expect("sent");
    client
}

/// What comes until the host closes the connection.
fn rest(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn rest_of_head(client: &mut TcpStream) -> String {
    read_until(client, b"\r\n\r\n")
}

#[track_caller]
fn read_until(client: &mut TcpStream, end: &[u8]) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end) {
        client.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {text:?}"));
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads a response with a body of this length, whose first nine bytes are read already.
#[track_caller]
fn read_to_length(client: &mut TcpStream, answer: &mut Vec<u8>, length: usize) {
    let head = read_until(client, b"\r\n\r\n");
    answer.extend_from_slice(head.as_bytes());
    let mut body = vec![0; length];
    client.read_exact(&mut body).expect("the whole body");
}

fn resident(host: &Running) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", host.serving_pid())).expect("the host runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its size is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
