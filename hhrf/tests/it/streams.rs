//! Bodies in pieces, in both directions: back-pressure, ends that are none, and clients that leave or stop reading.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fezz_testkit::Running;
use serde_json::json;

use super::{ISOLATED, async_host, wait_until};

#[test]
fn a_streamed_response_arrives_whole() {
    let host = async_host(json!({})).start();
    let slow = host.get("/rpc/async@1.0.0/stream-slow");
    slow.assert_status(200).assert_text("0\n1\n2\n");
    assert_eq!(host.get("/rpc/async@1.0.0/stream/100").body.len(), 100 * 65_536);
    // Of a plain fn, whose stream may block.
    let blocking = host.get("/rpc/fix/stream/100");
    assert_eq!(blocking.assert_status(200).body.len(), 100 * 65_536);
    let head = host.request("HEAD", "/rpc/async@1.0.0/stream-forever", &[], b"");
    assert_eq!(head.assert_status(200).body.len(), 0);
    // A worker hears a moment later that nobody wants the body, and meanwhile takes calls in its other slots.
    if ISOLATED {
        wait_until(|| host.get("/rpc/async@1.0.0/alive").text() == "0");
    }
    host.get("/rpc/async@1.0.0/alive").assert_text("0");
}

#[test]
fn events_arrive_as_events() {
    let host = async_host(json!({})).start();
    let answer = host.get("/rpc/async@1.0.0/sse");
    answer.assert_status(200).assert_text("data: one\n\ndata: two\ndata: lines\n\n");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
}

/// The head has been sent by then, so that only the connection can say it: it is reset.
#[test]
fn a_stream_that_breaks_off_resets_the_connection() {
    let host = async_host(json!({})).start();
    for (path, reason) in [
        ("/rpc/async@1.0.0/stream-error", "the disk is on fire"),
        ("/rpc/async@1.0.0/stream-panic", "in a stream"),
        ("/rpc/fix/stream-panic", "in an iterator"),
    ] {
        for version in ["1.1", "1.0"] {
            let mut client = host.connect();
            write!(client, "GET {path} HTTP/{version}\r\nhost: x\r\nx-request-id: cut\r\n\r\n")
                .expect("sent");
            let mut answer = Vec::new();
            let end = client.read_to_end(&mut answer);
            let text = String::from_utf8_lossy(&answer);
            assert!(!text.ends_with("0\r\n\r\n"), "{path}, {version}: it ended as if it were whole: {text}");
            assert!(end.is_err(), "{path}, {version}: {end:?}, {text}");
        }
        let line = host.wait_for_log(|line| line.message().contains(reason));
        assert_eq!((line.level(), line.field("request_id")), ("ERROR", "cut"), "{line:?}");
    }
    host.get("/rpc/async@1.0.0/ping").assert_status(200);
}

#[test]
fn a_client_that_leaves_ends_the_stream() {
    let host = async_host(json!({ "max_concurrency": 1, "max_queue": 0 })).start();
    for _ in 0..50 {
        let mut client = send(&host, "/rpc/async@1.0.0/stream-forever");
        let mut piece = [0; 65_536];
        client.read_exact(&mut piece).expect("it streams");
        // A body that is being made is a part of the call.
        host.get("/rpc/async@1.0.0/ping").assert_problem(503);
        drop(client);
        wait_until(|| host.get("/rpc/async@1.0.0/ping").status == 200);
        host.get("/rpc/async@1.0.0/alive").assert_text("0");
    }
}

/// What a client does not take is not made: the function waits, and its memory does not grow.
#[test]
fn a_client_that_stops_reading_stops_the_function_and_harms_nobody() {
    let host = async_host(json!({ "max_concurrency": 2 })).env("HHRF_WRITE_TIMEOUT_MS", "500").start();
    host.get("/rpc/async@1.0.0/ping").assert_status(200);
    let before = resident_kib(&host);
    let _silent = send(&host, "/rpc/async@1.0.0/stream-forever");
    wait_until(|| host.get("/rpc/async@1.0.0/alive").text() == "1");
    host.get("/rpc/async@1.0.0/ping").assert_status(200);
    let grown = resident_kib(&host).saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB");
    // It is not waited for without end.
    wait_until(|| host.get("/rpc/async@1.0.0/alive").text() == "0");
}

#[test]
fn a_request_body_is_read_as_it_comes() {
    let host = async_host(json!({ "max_body_bytes": 1_000_000 })).start();
    let body = vec![b'x'; 1_000_000];
    host.request("POST", "/rpc/async@1.0.0/upload", &[], &body).assert_status(200).assert_text("1000000");
    host.request("POST", "/rpc/async@1.0.0/upload", &[], b"").assert_status(200).assert_text("0");
    assert_eq!(host.request("POST", "/rpc/async@1.0.0/echo", &[], &body).assert_status(200).body, body);
    host.request("POST", "/rpc/async@1.0.0/upload-unread", &[], &body)
        .assert_status(200)
        .assert_text("unread");

    // The function has begun before the body is there.
    let mut client = host.connect();
    client
        .write_all(b"POST /rpc/async@1.0.0/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        .expect("sent");
    read_until(&mut client, "one");
    client.write_all(b"3\r\ntwo\r\n0\r\n\r\n").expect("sent");
    read_until(&mut client, "two\r\n0\r\n\r\n");
}

#[test]
fn a_request_body_has_its_limits_also_as_a_stream() {
    let host = async_host(json!({ "max_body_bytes": 10 })).env("HHRF_BODY_TIMEOUT_MS", "200").start();
    host.request("POST", "/rpc/async@1.0.0/upload", &[], b"0123456789a").assert_problem(413);
    let chunked = host.raw(
        b"POST /rpc/async@1.0.0/upload HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n",
    );
    assert!(
        chunked.starts_with("HTTP/1.1 400 ") && chunked.contains("larger than the 10 bytes"),
        "{chunked}"
    );
    let late = host.raw(
        b"POST /rpc/async@1.0.0/upload HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\n12",
    );
    assert!(late.starts_with("HTTP/1.1 400 ") && late.contains("did not arrive in time"), "{late}");
    // Time that the function takes is not the client's.
    host.request("POST", "/rpc/async@1.0.0/upload-late/500", &[], b"12345")
        .assert_status(200)
        .assert_text("1");
}

fn send(host: &Running, path: &str) -> TcpStream {
    let mut client = host.connect();
    write!(client, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    client
}

#[track_caller]
fn read_until(client: &mut TcpStream, end: &str) {
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) {
        client.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {text:?}"));
        text.push(byte[0]);
    }
}

fn resident_kib(host: &Running) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", host.serving_pid())).expect("the host runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its size is there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
