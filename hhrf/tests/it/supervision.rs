//! The supervisor: crashes of the serving process, and whose fault they were.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, LogLine, Running, c_library, digest};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::json;

use crate::isolation::{FAULTS, faults};
use crate::{ROUTES, async_host, fixture, host};

/// A host with the function that goes wrong in the host's own process, and one that does not.
pub(crate) fn unguarded() -> Host {
    Host::new()
        .function("bad@1.0.0", &faults(), FAULTS)
        .function("fix@latest", &fixture(), ROUTES)
        .env("HHRF_QUARANTINE_CRASHES", "1000")
}

/// Sends a request and gives the connection up, whatever becomes of it.
pub(crate) fn provoke(host: &Running, path: &str) {
    let mut client = host.connect();
    let _ = write!(client, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let _ = client.read_to_end(&mut Vec::new());
}

/// Sends a request, and leaves its answer to be read.
fn send(host: &Running, path: &str) -> TcpStream {
    let mut client = host.connect();
    write!(client, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    client
}

pub(crate) fn crashes(host: &Running) -> Vec<LogLine> {
    let is_one = |line: &LogLine| line.message().starts_with("the serving process crashed");
    host.log().into_iter().filter(is_one).collect()
}

pub(crate) fn process(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id")
}

#[test]
fn a_crash_costs_a_process_and_the_culprit_is_named() {
    let host = unguarded().start();
    let library = digest(&std::fs::read(faults()).expect("read"));
    for (number, (kind, how)) in [
        ("segfault", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("exit", "status 0"),
        // std says that a stack has overflowed, if there is enough left of another one for that.
        ("overflow", "killed by signal"),
        ("double-panic", "SIGABRT"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = host.serving_pid();
        provoke(&host, &format!("/rpc/bad@1.0.0/fault/{kind}"));
        host.until(crashes, |crashes| crashes.len() > number);
        // The connection waits in the listener's queue for as long as nobody serves.
        host.get_anew("/rpc/fix/ping").assert_status(200);
        host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
        assert_ne!(host.serving_pid(), before, "{kind}");
        let line = &crashes(&host)[number];
        assert!(line.message().contains(how), "{kind}: {line:?}");
        assert_eq!((line.field("function"), line.field("digest")), ("bad@1.0.0", library.as_str()));
    }
}

#[test]
fn the_culprit_is_found_among_many() {
    let host = unguarded().start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| provoke(&host, "/rpc/fix/sleep/3000"));
        }
        host.until(|host| host.status("fix@latest")["in_flight"].clone(), |calls| *calls == 4);
        provoke(&host, "/rpc/bad@1.0.0/fault/segfault");
        host.until(crashes, |crashes| crashes.len() == 1);
        assert_eq!(crashes(&host)[0].field("function"), "bad@1.0.0");
    });
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

#[test]
fn the_third_crash_is_the_last() {
    let host = unguarded().env("HHRF_QUARANTINE_CRASHES", "3").start();
    for count in 1..=3 {
        provoke(&host, "/rpc/bad@1.0.0/fault/segfault");
        host.until(crashes, |crashes| crashes.len() == count);
    }
    let refused = host.get_anew("/rpc/bad@1.0.0/ping");
    let text = refused.assert_problem(503).text().to_owned();
    assert!(text.contains("quarantine") && text.contains("3 times") && text.contains("SIGSEGV"), "{text}");
    let status = host.status("bad@1.0.0");
    assert!(status["quarantined"].as_str().is_some_and(|reason| reason.contains("3 times")), "{status:#}");
    host.get_anew("/rpc/fix/ping").assert_status(200);
    assert_eq!(crashes(&host).len(), 3);
    // It stays so over a hand-over, and ends with another build.
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    host.get_anew("/rpc/bad@1.0.0/ping").assert_problem(503);
    let fixed = c_library(host.host().root(), "fixed", FIXED);
    std::fs::copy(fixed, host.host().folder("bad@1.0.0").join(faults().file_name().expect("a name")))
        .expect("copied");
    host.until(|host| host.get_anew("/rpc/bad@1.0.0/ping").status.as_u16(), |status| *status == 200);
}

const FIXED: &str = r#"
#include "fezz.h"
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    response->status = 200;
    response->body = FEZZ_STR("fixed");
}
"#;

#[test]
fn a_quarantine_can_be_isolation() {
    let host = unguarded().env("HHRF_QUARANTINE_CRASHES", "1").env("HHRF_QUARANTINE", "isolate").start();
    provoke(&host, "/rpc/bad@1.0.0/fault/segfault");
    host.until(crashes, |crashes| crashes.len() == 1);
    host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
    assert_eq!(host.status("bad@1.0.0")["isolation"]["sandbox"], "strict");
    host.get("/rpc/bad@1.0.0/fault/segfault").assert_problem(502);
    host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
    assert_eq!(crashes(&host).len(), 1, "the host has not noticed");
}

#[test]
fn a_process_that_is_stopped_goes_on() {
    let host = unguarded().start();
    let serving = host.serving_pid();
    host.get("/rpc/bad@1.0.0/fault/stop").assert_status(200);
    host.wait_for_log(|line| line.message().contains("was stopped; it goes on"));
    assert_eq!(host.serving_pid(), serving);
}

#[test]
fn a_process_that_is_stuck_is_replaced() {
    let host = async_host(json!({})).env("HHRF_WATCHDOG_MS", "2000").start();
    let serving = host.serving_pid();
    // Polls that block, until there is no thread left to answer another call. None is sent after that: it could wait in
    // the listener's queue, and block the next process.
    let mut clients = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while host.serving_pid() == serving {
        assert!(Instant::now() < deadline, "{:#?}", host.log());
        clients.push(send(&host, "/rpc/async@1.0.0/block/600000"));
        let mut other = send(&host, "/rpc/fix/ping");
        // Longer than it takes to notice. The answer may only wait behind a thread that blocks, while others are left.
        other.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        match other.read(&mut [0]) {
            Ok(1) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => drop(host.until(Running::serving_pid, |pid| *pid != serving)),
        }
    }
    host.wait_for_log(|line| line.message().contains("no sign of life"));
    let line = host.wait_for_log(|line| line.message().starts_with("the serving process crashed"));
    assert_eq!(line.field("function"), "async@1.0.0", "{line:?}");
    drop(clients);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    assert_ne!(host.serving_pid(), serving);
}

#[test]
fn a_loop_costs_a_thread_and_a_504() {
    let host = Host::new()
        .function_with("bad@1.0.0", &faults(), FAULTS, json!({ "timeout_ms": 200 }))
        .function("fix@latest", &fixture(), ROUTES)
        .start();
    let serving = host.serving_pid();
    for kind in ["loop", "deadlock"] {
        host.get(&format!("/rpc/bad@1.0.0/fault/{kind}")).assert_problem(504);
        host.get_anew("/rpc/fix/ping").assert_status(200);
        host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
    }
    assert_eq!(host.status("bad@1.0.0")["abandoned"], 2);
    assert_eq!(host.serving_pid(), serving);
}

#[test]
fn a_process_that_ends_in_mid_response_is_replaced() {
    let host = unguarded().start();
    provoke(&host, "/rpc/bad@1.0.0/fault/mid-response");
    host.get_anew("/rpc/fix/ping").assert_status(200);
    host.until(crashes, |crashes| crashes.len() == 1);
    // A thread of the function's own has ended the process, so that only the calls which ran can tell whose it was.
    let line = &crashes(&host)[0];
    assert!(line.message().contains("exited with status 3"), "{line:?}");
}

#[test]
fn nothing_outlives_a_supervisor_that_is_killed() {
    let host = host().start();
    let serving = process(host.serving_pid());
    assert_ne!(host.serving_pid(), host.pid());
    host.signal(Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(20);
    while test_kill_process(serving).is_ok() {
        assert!(Instant::now() < deadline, "it still runs");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn without_a_supervisor_there_is_one_process() {
    let host = host().arg("--no-supervisor").start();
    assert_eq!(host.serving_pid(), host.pid());
    host.get_anew("/rpc/fix/ping").assert_status(200);
    host.stop();
}

#[test]
fn calls_that_hang_are_counted_and_others_keep_their_threads() {
    let host = Host::new()
        .function_with("bad@1.0.0", &faults(), FAULTS, json!({ "timeout_ms": 50 }))
        .function("fix@latest", &fixture(), ROUTES)
        .env("HHRF_ABANDONED_MAX", "4")
        .start();
    for _ in 0..4 {
        host.get("/rpc/bad@1.0.0/sleep/4000").assert_problem(504);
    }
    let refused = host.get_anew("/rpc/bad@1.0.0/ping");
    assert!(refused.assert_problem(503).text().contains("nobody waits for"), "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(host.status("bad@1.0.0")["abandoned"], 4);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    // They end, and it is called again.
    host.until(|host| host.get_anew("/rpc/bad@1.0.0/ping").status.as_u16(), |status| *status == 200);
    assert!(host.status("bad@1.0.0")["abandoned"].as_u64().is_some_and(|count| count <= 2));
}
