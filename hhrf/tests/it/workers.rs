//! The pool: when workers start, how many there are, and when they end.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, Response};
use serde_json::{Value, json};

use crate::isolation::{alone, assert_gone, isolated, pid};
use crate::processes::workers_of;
use crate::{ROUTES, fixture};

#[test]
fn workers_are_started_on_demand_replaced_and_ended() {
    let mut keys = alone();
    keys["workers"] = json!({ "max": 1, "spare": 1 });
    let host = isolated(&keys).env("HHRF_WORKER_MAX_CALLS", "3").env("HHRF_WORKER_IDLE_MS", "2000").start();
    assert!(workers_of(host.pid()).is_empty(), "nobody has called yet");
    let pids: Vec<_> = (0..6).map(|_| pid(&host)).collect();
    assert!(pids[0] == pids[1] && pids[1] == pids[2], "{pids:?}");
    assert!(pids[3] != pids[0] && pids[3] == pids[5], "{pids:?}");
    host.until(|host| workers_of(host.pid()), Vec::is_empty);
    assert_eq!(host.status("bad@1.0.0")["isolation"]["crashes"], 0);
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn calls_wait_for_a_worker_and_too_many_are_503() {
    let host = isolated(&json!({ "workers": { "max": 2 }, "max_concurrency": 6, "max_queue": 0 })).start();
    thread::scope(|scope| {
        let calls: Vec<_> = (0..6).map(|_| scope.spawn(|| host.get("/rpc/bad@1.0.0/sleep/700"))).collect();
        host.until(|host| host.status("bad@1.0.0")["in_flight"].clone(), |calls| *calls == 6);
        let full = host.get("/rpc/bad@1.0.0/ping");
        assert_eq!(full.assert_problem(503).header("retry-after"), Some("1"));
        calls.into_iter().for_each(|call| _ = call.join().expect("answered").assert_status(200));
    });
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn a_worker_may_run_several_calls() {
    let host = isolated(&json!({ "workers": { "max": 1 }, "worker_concurrency": 4 })).start();
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                host.get("/rpc/bad@1.0.0/sleep/1000").assert_status(200).assert_text("slept").status
            });
        }
    });
    assert!(begin.elapsed() < Duration::from_millis(3_500), "{:?}", begin.elapsed());
    // A crash costs all of them, and says so.
    thread::scope(|scope| {
        let call = scope
            .spawn(|| host.request("GET", "/rpc/bad@1.0.0/sleep/60000", &[("x-request-id", "other")], b""));
        host.wait_for_log(|line| line.message() == "sleeping" && line.field("request_id") == "other");
        host.request("GET", "/rpc/bad@1.0.0/fault/abort", &[("x-request-id", "culprit")], b"")
            .assert_problem(502);
        call.join().expect("answered").assert_problem(502);
    });
    let line = host.wait_for_log(|line| line.message().contains("worker crashed"));
    let ids = line.field("request_id");
    assert!(ids.contains("culprit") && ids.contains("other"), "{line:?}");
}

#[test]
fn a_client_that_leaves_cancels_its_call() {
    let host = Host::new()
        .function_with(
            "fix@latest",
            &fixture(),
            ROUTES,
            json!({ "isolation": "process", "workers": { "max": 1 } }),
        )
        .start();
    host.get("/rpc/fix/ping").assert_status(200);
    let mut client = host.connect();
    client.write_all(b"GET /rpc/fix/wait-for-cancel HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    // One that has not begun is not made at all.
    host.wait_for_log(|line| line.message().contains("waiting to be cancelled"));
    drop(client);
    host.until(|host| host.get("/rpc/fix/cancelled").text().to_owned(), |count| count == "1");
}

#[test]
fn many_crashes_open_the_breaker_and_an_answer_closes_it() {
    let host = isolated(&alone()).env("HHRF_BREAKER_CRASHES", "5").start();
    let answers: Vec<Response> = (0..8).map(|_| host.get("/rpc/bad@1.0.0/fault/segfault")).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [502, 502, 502, 502, 502, 503, 503, 503]);
    assert!(answers[7].assert_problem(503).header("retry-after").is_some());
    assert_eq!(host.status("bad@1.0.0")["isolation"]["resting"], true);
    host.get("/rpc/fix/ping").assert_status(200);
    host.until(|host| host.get("/rpc/bad@1.0.0/ping").status.as_u16(), |status| *status == 200);
    assert_eq!(host.status("bad@1.0.0")["isolation"]["resting"], false);
    for _ in 0..20 {
        host.get("/rpc/bad@1.0.0/ping").assert_status(200);
    }
}

#[test]
fn a_function_that_is_replaced_takes_its_workers_with_it() {
    let host = isolated(&json!({ "workers": { "min": 1, "max": 1 } })).start();
    let before = pid(&host);
    let folder = host.host().folder("bad@1.0.0");
    let manifest = std::fs::read_to_string(folder.join("fezz.json")).expect("there");
    let mut manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    manifest["memory_max_bytes"] = json!(100_000_000);
    std::fs::write(folder.join("fezz.json"), manifest.to_string()).expect("written");
    host.until(pid, |pid| *pid != before);
    assert_gone(before);
    std::fs::remove_dir_all(folder).expect("removed");
    host.until(|host| workers_of(host.pid()), Vec::is_empty);
}

#[test]
fn large_bodies_pass_in_both_directions() {
    let host = Host::new()
        .function_with(
            "fix@latest",
            &fixture(),
            ROUTES,
            json!({ "isolation": "process", "max_body_bytes": 100_000_000 }),
        )
        .start();
    for length in [0, 1, 65_535, 65_536, 65_537, 262_144, 262_145, 20_000_001] {
        let body: Vec<u8> = (0..length).map(|index: u32| index.to_le_bytes()[0]).collect();
        let answer = host.request("POST", "/rpc/fix/echo", &[], &body);
        assert!(answer.assert_status(200).body == body, "{length}");
    }
}
