//! What is claimed of async calls, shown: `just prove`. Ignored by default, since it measures.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, Running, library};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ROUTES: &[(&str, &str)] =
    &[("GET", "/ping"), ("GET", "/sleep/{ms}"), ("GET", "/forever"), ("GET", "/alive")];

fn start(max_concurrency: u32) -> Running {
    let more = json!({ "max_concurrency": max_concurrency });
    let host = Host::new().function_with("async@1.0.0", &library("fezz-fixture-async"), ROUTES, more);
    // The first of many connections waits for the last before its request comes.
    let host = host.env("HHRF_MAX_CONNECTIONS", "20000").env("HHRF_HEADER_TIMEOUT_MS", "60000").start();
    host.get("/rpc/async@1.0.0/ping").assert_status(200);
    host
}

#[test]
#[ignore = "it measures"]
fn ten_thousand_calls_that_sleep_a_second() {
    const CALLS: u32 = 10_000;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the limit of open files can be raised");
    let host = start(CALLS);
    let at_rest = threads(&host);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (took, busy) = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CALLS {
            clients.push(tokio::net::TcpStream::connect(host.address()).await.expect("the host accepts"));
        }
        let begin = Instant::now();
        let calls: Vec<_> = clients.into_iter().map(|client| tokio::spawn(sleep(client))).collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let busy = threads(&host);
        for call in calls {
            call.await.expect("a call is answered");
        }
        (begin.elapsed(), busy)
    });
    println!("{CALLS} calls that sleep 1 s: {took:?}; {at_rest} threads at rest, {busy} meanwhile");
    assert!(took < Duration::from_secs(3) && busy <= at_rest + 4);
}

async fn sleep(mut client: tokio::net::TcpStream) {
    let request = b"GET /rpc/async@1.0.0/sleep/1000 HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"slept") {
        assert!(client.read_buf(&mut answer).await.expect("answered") > 0, "{answer:?}");
    }
}

#[test]
#[ignore = "it measures"]
fn an_abandoned_call_frees_its_permit_at_once() {
    let host = start(1);
    let mut other = host.connect();
    let mut ping = || {
        other.write_all(b"GET /rpc/async@1.0.0/ping HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        let mut answer = [0; 4096];
        let count = other.read(&mut answer).expect("answered");
        answer[..count].starts_with(b"HTTP/1.1 200")
    };
    let mut times: Vec<_> = (0..500)
        .map(|_| {
            let client = forever(&host);
            while host.status("async@1.0.0")["in_flight"] != 1 {}
            assert!(!ping(), "the permit is taken");
            let begin = Instant::now();
            drop(client);
            while !ping() {}
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("from a disconnect to the permit's next use: {median:?} at the median, {worst:?} at most");
    assert!(worst < Duration::from_millis(5));
}

fn forever(host: &Running) -> TcpStream {
    let mut client = host.connect();
    client.write_all(b"GET /rpc/async@1.0.0/forever HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    client
}

fn threads(host: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", host.serving_pid())).map_or(0, Iterator::count)
}
