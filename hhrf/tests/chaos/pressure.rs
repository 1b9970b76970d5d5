//! Clients that ask for too much, or for nothing any more, beside those that must not notice.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use fezz_testkit::{Host, Load, Running, library};
use serde_json::json;

use super::{ROUTES, length};

/// A load that takes any answer with status 200.
fn load(host: &Running, path: &str, clients: usize) -> Load {
    Load::start(host.address(), path, clients, |_, _| Ok(()))
}

#[test]
fn bursts_are_queued_and_no_call_is_refused() {
    let full = json!({ "max_concurrency": 8, "queue_ms": 20_000 });
    let host = Host::new()
        .function_with("burst@1.0.0", &library("fezz-faults"), ROUTES, full)
        .function_with("good@1.0.0", &library("fezz-faults"), ROUTES, json!({}))
        .start();
    // Six times as many as may run at once; the queue takes eight times as many.
    let burst = load(&host, "/rpc/burst@1.0.0/sleep/20", 48);
    let beside = load(&host, "/rpc/good@1.0.0/ping", 4);
    burst.wait_for_answers(length(1_000, 40_000) as u64);
    let answers = burst.stop().assert_flawless();
    let beside = beside.stop().assert_flawless();
    eprintln!("{answers} calls of a function at six times its limit answered with 200, {beside} beside it");
}

#[test]
fn clients_that_do_odd_things_cost_no_other_an_answer() {
    let host = Host::new()
        .function_with("odd@1.0.0", &library("fezz-faults"), ROUTES, json!({ "max_concurrency": 64 }))
        .function_with("good@1.0.0", &library("fezz-faults"), ROUTES, json!({}))
        .start();
    let beside = load(&host, "/rpc/good@1.0.0/ping", 4);
    let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let kinds: [fn(&Running); 4] = [leaves_at_once, stalls_in_a_body, shuts_its_half_down, reads_nothing];
    thread::scope(|scope| {
        for kind in kinds.iter().cycle().take(8) {
            let (host, stop, made) = (&host, &stop, &made);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    kind(host);
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        beside.wait_for_answers(length(2_000, 100_000) as u64);
        stop.store(true, Ordering::Relaxed);
    });
    let answers = beside.stop().assert_flawless();
    eprintln!("{answers} calls answered with 200 beside {} odd clients", made.load(Ordering::Relaxed));
}

/// Sends this, and returns the connection.
fn send(host: &Running, text: &str) -> TcpStream {
    let mut client = TcpStream::connect(host.address()).expect("connected");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    client.write_all(text.as_bytes()).expect("sent");
    client
}

fn leaves_at_once(host: &Running) {
    drop(send(host, "GET /rpc/odd@1.0.0/sleep/50 HTTP/1.1\r\nhost: a\r\n\r\n"));
}

fn stalls_in_a_body(host: &Running) {
    let head = "POST /rpc/odd@1.0.0/ping HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
    let client = send(host, &format!("{head}{}", "x".repeat(100_000)));
    thread::sleep(Duration::from_millis(100));
    drop(client);
}

/// Calls the function that behaves: the other one may be full of calls whose clients have left.
fn shuts_its_half_down(host: &Running) {
    let mut client = send(host, "GET /rpc/good@1.0.0/sleep/20 HTTP/1.1\r\nhost: a\r\n\r\n");
    client.shutdown(Shutdown::Write).expect("shut down");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("answered");
    // Behind `100 Continue`, if it took longer: the host has to find out whether the client is still there.
    let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

fn reads_nothing(host: &Running) {
    let request = "GET /rpc/odd@1.0.0/ping HTTP/1.1\r\nhost: a\r\n\r\n";
    let client = send(host, &request.repeat(200));
    thread::sleep(Duration::from_millis(50));
    drop(client);
}
