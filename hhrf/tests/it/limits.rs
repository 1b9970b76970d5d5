//! Limits: bodies, headers, concurrency, deadlines, and clients that leave.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, Running};
use serde_json::json;

use super::{ISOLATED, ROUTES, bare, fixture, host, running, wait_until};

fn limited(more: serde_json::Value) -> Host {
    bare().function_with("fix@latest", &fixture(), ROUTES, more).function("other@1.0.0", &fixture(), ROUTES)
}

#[test]
fn a_body_over_the_limit_is_413_in_every_framing() {
    let host = limited(json!({ "max_body_bytes": 10 })).start();
    host.request("POST", "/rpc/fix/echo", &[], b"0123456789").assert_status(200);
    host.request("POST", "/rpc/fix/echo", &[], b"0123456789a").assert_problem(413);
    // Far more than any buffer holds: the answer has to arrive all the same.
    host.request("POST", "/rpc/fix/echo", &[], &vec![0; 3_000_000]).assert_problem(413);
    let chunked = host.raw(
        b"POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n",
    );
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
    let unsent = host.raw(
        b"POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\nexpect: 100-continue\r\n\r\n",
    );
    assert!(unsent.starts_with("HTTP/1.1 413 "), "{unsent}");
    host.request("POST", "/rpc/other@1.0.0/echo", &[], &[0; 1000]).assert_status(200);
}

#[test]
fn too_many_headers_are_431() {
    let host = running();
    let names: Vec<_> = (0..300).map(|index| format!("x-header-{index}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    host.request("GET", "/rpc/fix/ping", &headers, b"").assert_problem(431);
    host.request("GET", "/rpc/fix/ping", &headers[..90], b"").assert_status(200);
    let large = "x".repeat(40_000);
    host.request("GET", "/rpc/fix/ping", &[("x-large", &large)], b"").assert_problem(431);
    host.get(&format!("/rpc/fix/{large}")).assert_problem(431);
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn odd_paths_are_400() {
    let host = running();
    for path in
        ["/rpc/fix/%2e%2e/x", "/rpc/fix//ping", "/rpc//fix", "/rpc/fix/%00", "/rpc/fix/../x", "/rpc/fix/%zz"]
    {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = host.raw(request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        assert!(answer.contains("application/problem+json"), "{path}: {answer}");
    }
    let nul = host.raw(b"GET /rpc/fix/\0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(nul.starts_with("HTTP/1.1 400 "), "{nul}");
    host.get("/rpc/fix/describe/a/%ff").assert_problem(400);
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_panic_is_500_and_its_message_stays_in_the_log() {
    let host = running();
    for path in ["/rpc/fix/panic", "/rpc/fix/panic-any", "/rpc/fix/panic-in-drop"] {
        let answer = host.request("GET", path, &[("x-request-id", path)], b"");
        assert!(!answer.assert_problem(500).text().contains("secret"), "{answer:?}");
        let line = host.wait_for_log(|line| line.field("request_id") == path);
        assert!(line.level() == "ERROR" && line.message().contains("panicked"), "{line:?}");
        assert_eq!(line.field("function"), "fix@latest");
    }
    let line = host.wait_for_log(|line| line.message().contains("secret detail 42"));
    assert!(line.message().contains("lib.rs:"), "{line:?}");
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_panic_is_told_where_the_configuration_says_so() {
    let host = host().env("HHRF_EXPOSE_PANICS", "true").start();
    assert!(host.get("/rpc/fix/panic").assert_problem(500).text().contains("secret detail 42"));
}

#[test]
fn a_header_that_would_split_the_response_is_500() {
    let host = running();
    let answer = host.get("/rpc/fix/bad-header");
    assert_eq!(answer.assert_problem(500).header("x-injected"), None);
}

#[test]
fn a_deadline_is_504() {
    let host = limited(json!({ "timeout_ms": 100, "max_concurrency": 2 })).start();
    let begin = Instant::now();
    host.get("/rpc/fix/sleep/1500").assert_problem(504);
    assert!(begin.elapsed() < Duration::from_millis(1400), "the answer waited for the function");
    host.get("/rpc/fix/wait-for-cancel").assert_problem(504);
    // A worker is killed at the deadline, and its counts with it.
    if !ISOLATED {
        wait_until(|| host.get("/rpc/fix/cancelled").text() == "1");
    }
    host.get("/rpc/other@1.0.0/ping").assert_status(200);
}

#[test]
fn a_full_function_is_503_and_harms_no_other() {
    let host = limited(json!({ "max_concurrency": 2, "max_queue": 0 })).start();
    thread::scope(|scope| {
        let busy: Vec<_> = (0..2).map(|_| wait_for_cancel(&host)).collect();
        scope.spawn(|| {
            host.get("/rpc/other@1.0.0/ping").assert_status(200).assert_text("pong");
        });
        // A call to find it out would take a place from those that are to be waited for.
        wait_until(|| host.status("fix@latest")["in_flight"] == 2);
        let full = host.get("/rpc/fix/ping");
        assert_eq!(full.assert_problem(503).header("retry-after"), Some("1"));
        drop(busy);
    });
    wait_until(|| host.get("/rpc/fix/ping").status.as_u16() == 200);
}

#[test]
fn a_thousand_clients_that_leave_lose_no_permit() {
    let host = limited(json!({ "max_concurrency": 2 })).start();
    for count in 1..=1000 {
        let client = wait_for_cancel(&host);
        wait_until(|| host.get("/rpc/fix/waiting").text() == count.to_string());
        drop(client);
        wait_until(|| host.get("/rpc/fix/cancelled").text() == count.to_string());
        // It has a permit until it has returned, and a next call and those that look for it would find none.
        wait_until(|| host.status("fix@latest")["in_flight"] == 0);
    }
    // Both permits are there: each of two calls at once finds one, again and again.
    wait_until(|| {
        thread::scope(|scope| {
            let calls = [(); 2].map(|()| scope.spawn(|| host.get("/rpc/fix/sleep/20").status.as_u16()));
            calls.into_iter().all(|call| call.join().expect("answered") == 200)
        })
    });
}

#[test]
fn calls_that_block_do_not_hold_up_the_others() {
    let host = running();
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                host.get("/rpc/fix/sleep/300").assert_status(200).assert_text("slept");
            });
        }
        for _ in 0..50 {
            host.get("/rpc/fix/ping").assert_status(200);
        }
    });
    // One after another they would take 15 s.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

/// A client in mid-call: its call ends only when the client leaves.
fn wait_for_cancel(host: &Running) -> std::net::TcpStream {
    let mut client = host.connect();
    client.write_all(b"GET /rpc/fix/wait-for-cancel HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    client
}
