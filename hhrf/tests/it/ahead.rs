//! Calls that are in a worker's socket before their turn: what happens to the one before them does not happen to them.

use std::io::Write;

use fezz_testkit::{Load, Running};
use serde_json::json;

use crate::isolation::{alone, isolated};

const PING: &str = "/rpc/bad@1.0.0/ping";
const CLIENTS: usize = 16;

/// More calls than a worker makes at once, for so long that the host knows that they are quick.
fn pings(host: &Running) -> Load {
    let load = Load::start(host.address(), PING, CLIENTS, |_, answer| {
        if answer == b"pong" { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    load.wait_for_answers(1_000);
    load
}

#[test]
fn a_crash_takes_nobody_along() {
    let host = isolated(&alone()).start();
    let load = pings(&host);
    for kind in ["segfault", "abort", "exit", "double-panic", "overflow"].repeat(4) {
        host.get(&format!("/rpc/bad@1.0.0/fault/{kind}")).assert_problem(502);
        load.wait_for_answers(200);
    }
    load.stop().assert_flawless();
    assert_eq!(host.status("bad@1.0.0")["isolation"]["crashes"], 20);
}

#[test]
fn a_call_that_passes_its_deadline_takes_nobody_along() {
    let host = isolated(&json!({ "workers": { "max": 2 }, "timeout_ms": 2_000 })).start();
    let load = pings(&host);
    for _ in 0..6 {
        host.get("/rpc/bad@1.0.0/fault/deadlock").assert_problem(504);
        load.wait_for_answers(200);
    }
    load.stop().assert_flawless();
}

#[test]
fn calls_wait_for_a_slow_one_where_there_is_no_other_worker() {
    let host = isolated(&alone()).start();
    let load = pings(&host);
    for slow in ["/fault/busy", "/sleep/500", "/fault/busy"] {
        host.get(&format!("/rpc/bad@1.0.0{slow}")).assert_status(200);
        load.wait_for_answers(200);
    }
    load.stop().assert_flawless();
}

#[test]
fn calls_behind_one_that_hangs_are_made_elsewhere() {
    let host = isolated(&json!({ "workers": { "max": 4 } })).start();
    let load = pings(&host);
    let hanging: Vec<_> = (0..3)
        .map(|_| {
            let mut client = host.connect();
            client.write_all(b"GET /rpc/bad@1.0.0/sleep/19000 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
            load.wait_for_answers(1_000);
            client
        })
        .collect();
    // Each of the load's clients has its answer, or this would wait for those that hang.
    load.stop().assert_flawless();
    assert_eq!(host.status("bad@1.0.0")["in_flight"], 3);
    drop(hanging);
}
