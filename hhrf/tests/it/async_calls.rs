//! Functions that are polled in place: deadlines, cancellation, panics, wakers, and polls that block.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::Running;
use serde_json::json;

use super::{ISOLATED, async_host, wait_until};

#[test]
fn an_async_function_is_polled_in_place() {
    let host = async_host(json!({})).start();
    host.get("/rpc/async@1.0.0/ping").assert_status(200).assert_text("pong");
    host.get("/rpc/async@1.0.0/sleep/20").assert_status(200).assert_text("slept");
    host.get("/rpc/async@1.0.0/spawn").assert_status(200).assert_text("from a task");
    // Many more calls than threads, all at once: those of a plain fn would need a thread each.
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| host.get("/rpc/async@1.0.0/sleep/300").assert_status(200).status);
        }
    });
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(threads(&host) < 20, "{} threads", threads(&host));
}

#[test]
fn a_deadline_cancels_the_call_for_real() {
    // A worker that was killed needs a moment to be replaced, which counts as the next call's.
    let timeout_ms = if ISOLATED { 2_000 } else { 100 };
    let host = async_host(json!({ "timeout_ms": timeout_ms, "max_concurrency": 1, "max_queue": 0 })).start();
    // A future that never wakes is one like any other.
    for _ in 0..3 {
        host.get("/rpc/async@1.0.0/forever").assert_problem(504);
        // Its only permit is free by the time that the answer is there, and its future is dropped.
        host.get("/rpc/async@1.0.0/alive").assert_status(200).assert_text("0");
    }
    assert_eq!(
        host.admin("/metrics")
            .text()
            .matches("faas_timeouts_total{function=\"async\",version=\"1.0.0\"} 3")
            .count(),
        1
    );
}

#[test]
fn a_client_that_leaves_cancels_the_call_for_real() {
    let host = async_host(json!({ "max_concurrency": 1, "max_queue": 0 })).start();
    for count in 1..=200 {
        let client = send(&host, "/rpc/async@1.0.0/forever");
        wait_until(|| in_flight(&host) == 1);
        host.get("/rpc/async@1.0.0/ping").assert_problem(503);
        drop(client);
        wait_until(|| in_flight(&host) == 0);
        host.get("/rpc/async@1.0.0/alive").assert_status(200).assert_text("0");
        host.get("/rpc/async@1.0.0/waiting").assert_text(&count.to_string());
    }
}

#[test]
fn panics_of_a_future_stay_in_it() {
    let host = async_host(json!({ "timeout_ms": 300, "max_concurrency": 1, "max_queue": 0 })).start();
    let answer = host.request("GET", "/rpc/async@1.0.0/panic", &[("x-request-id", "poll")], b"");
    assert!(!answer.assert_problem(500).text().contains("secret"), "{answer:?}");
    let line = host.wait_for_log(|line| line.field("request_id") == "poll");
    assert!(
        line.message().contains("secret detail 42 (at ") && line.message().contains("lib.rs:"),
        "{line:?}"
    );

    // A worker is killed at the deadline: nothing is dropped there.
    if ISOLATED {
        return;
    }
    // Its drop panics, at the deadline; all that stands behind it is dropped nevertheless.
    host.request("GET", "/rpc/async@1.0.0/panic-in-drop", &[("x-request-id", "drop")], b"")
        .assert_problem(504);
    let line = host.wait_for_log(|line| line.message().contains("in the drop of a future"));
    assert_eq!((line.field("request_id"), line.field("function")), ("drop", "async@1.0.0"));
    host.get("/rpc/async@1.0.0/alive").assert_status(200).assert_text("0");

    host.get("/rpc/async@1.0.0/task-panic").assert_status(200).assert_text("true");
    let line = host.wait_for_log(|line| line.message().contains("in a task of its own"));
    assert!(line.message().contains("lib.rs:"), "{line:?}");
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn wakers_outlive_their_calls_and_an_eviction() {
    // Idle for longer than a busy machine takes from one of these calls to the next.
    let host =
        async_host(json!({})).env("HHRF_CACHE_IDLE_MS", "2000").env("HHRF_CACHE_SWEEP_MS", "10").start();
    host.get("/rpc/async@1.0.0/wakers/storm").assert_status(200);
    for count in 1..=3 {
        host.get("/rpc/async@1.0.0/wakers/keep").assert_text(&count.to_string());
    }
    host.until(|host| host.status("async@1.0.0")["library"].clone(), |state| state == "idle");
    host.get("/rpc/async@1.0.0/wakers/wake").assert_status(200).assert_text("0");
    host.get("/rpc/async@1.0.0/ping").assert_status(200);
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn panics_and_errors_of_init_refuse_the_function() {
    for (init, reason) in
        [("panic", "init panicked: in init (at "), ("error", "there is nothing to start with")]
    {
        let host = async_host(json!({ "env": { "INIT": init } })).start();
        host.get("/rpc/async@1.0.0/ping").assert_problem(404);
        let line =
            host.wait_for_log(|line| line.level() == "ERROR" && line.field("function") == "async@1.0.0");
        assert!(line.message().contains("fezz_init answered 2"), "{reason}: {line:?}");
        host.get("/rpc/fix/ping").assert_status(200);
    }
}

#[test]
fn a_panic_of_shutdown_harms_nobody() {
    let host = async_host(json!({ "env": { "SHUTDOWN": "panic" } }))
        .env("HHRF_CACHE_IDLE_MS", "100")
        .env("HHRF_CACHE_SWEEP_MS", "10")
        .start();
    for _ in 0..3 {
        host.get("/rpc/async@1.0.0/ping").assert_status(200);
        host.until(|host| host.status("async@1.0.0")["library"].clone(), |state| state == "idle");
        host.get("/rpc/fix/ping").assert_status(200);
    }
    let line = host.wait_for_log(|line| line.message().contains("shutdown panicked"));
    assert!(
        line.message().contains("in shutdown (at ") || line.message().contains("in shutdown"),
        "{line:?}"
    );
    host.stop();
}

#[test]
fn what_a_function_prints_arrives() {
    let host = crate::host();
    let mut child = host.command().stdout(std::process::Stdio::piped()).spawn().expect("the host starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let line = log.find(|line| line.contains("\"listening\"")).expect("it listens");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let address = line["fields"]["address"].as_str().expect("an address");
    let mut client = TcpStream::connect(address).expect("it accepts");
    client.write_all(b"GET /rpc/fix/print HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
    let mut printed = String::new();
    let read = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut printed);
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!((read.is_ok(), printed.as_str()), (true, "printed by a function\n"));
}

#[test]
fn records_of_a_function_arrive_with_their_request() {
    let host = async_host(json!({})).start();
    host.request("GET", "/rpc/async@1.0.0/log", &[("x-request-id", "logs")], b"").assert_status(200);
    let line = host.wait_for_log(|line| line.message() == "in a task");
    assert_eq!((line.field("request_id"), line.field("fields")), ("logs", "name=tidy"));
    let line = host.wait_for_log(|line| line.message() == "an event");
    assert_eq!(
        (line.level(), line.field("function"), line.field("request_id")),
        ("INFO", "async@1.0.0", "logs")
    );
    assert_eq!((line.field("module"), line.field("fields")), ("fezz_fixture_async", "user=7"));
    assert!(line.field("file").ends_with("lib.rs"), "{line:?}");
    let line = host.wait_for_log(|line| line.message() == "a record");
    assert_eq!((line.level(), line.field("request_id")), ("WARN", "logs"));
    assert!(!host.log().iter().any(|line| line.message() == "too fine"));
}

#[test]
fn records_come_at_the_level_that_the_host_asks_for() {
    for (level, shown) in [("debug", true), ("function=debug,info", true), ("function=warn,debug", false)] {
        let host = async_host(json!({})).env("HHRF_LOG", level).start();
        host.get("/rpc/async@1.0.0/log").assert_status(200);
        host.wait_for_log(|line| line.message() == "a record");
        let found = host.log().iter().any(|line| line.message() == "too fine");
        assert_eq!(found, shown, "{level}");
    }
}

/// Calls of the async function that hold a permit.
fn in_flight(host: &Running) -> u64 {
    host.status("async@1.0.0")["in_flight"].as_u64().expect("it is counted")
}

fn threads(host: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", host.serving_pid())).map_or(0, Iterator::count)
}

fn send(host: &Running, path: &str) -> TcpStream {
    let mut client = host.connect();
    write!(client, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    client
}
