//! Isolated functions: each fault costs the request that it happens in, and nothing else.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, Running, c_library, library};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use crate::{ROUTES, async_host, fixture};

/// All routes of the function that goes wrong.
pub(crate) const FAULTS: &[(&str, &str)] = &[
    ("GET", "/ping"),
    ("GET", "/pid"),
    ("GET", "/env"),
    ("GET", "/sleep/{ms}"),
    ("GET", "/fault/{kind}"),
    ("POST", "/forbidden/{what}"),
];

pub(crate) fn faults() -> PathBuf {
    library("fezz-faults")
}

/// A host with the function that goes wrong, isolated, and one that does not, as `fix@latest`. A pool does not rest
/// for long, so that tests need not wait for it.
pub(crate) fn isolated(more: &Value) -> Host {
    let mut keys = json!({ "isolation": "process", "timeout_ms": 20_000 });
    for (key, value) in more.as_object().expect("an object") {
        keys[key] = value.clone();
    }
    Host::new()
        .function_with("bad@1.0.0", &faults(), FAULTS, keys)
        .function("fix@latest", &fixture(), ROUTES)
        .env("HHRF_WORKER_BACKOFF_MAX_MS", "10")
        .env("HHRF_BREAKER_CRASHES", "1000")
}

/// One worker at a time: what becomes of it is what is seen.
pub(crate) fn alone() -> Value {
    json!({ "workers": { "max": 1 } })
}

pub(crate) fn pid(host: &Running) -> Pid {
    let text = host.get("/rpc/bad@1.0.0/pid").assert_status(200).text().to_owned();
    text.parse().ok().and_then(Pid::from_raw).expect("a process id")
}

#[track_caller]
pub(crate) fn assert_gone(pid: Pid) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while test_kill_process(pid).is_ok() {
        assert!(Instant::now() < deadline, "process {pid:?} is still there");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_function_has_a_process_of_its_own() {
    let host = isolated(&alone()).start();
    let worker = pid(&host);
    assert_ne!(worker.as_raw_pid().unsigned_abs(), host.serving_pid());
    assert_eq!(pid(&host), worker, "it is the same for the next call");
    let status = host.status("bad@1.0.0");
    assert_eq!(status["isolation"]["sandbox"], "strict");
    assert_eq!(status["isolation"]["workers"][0]["pid"], worker.as_raw_pid());
    let enforced = status["isolation"]["enforced"].to_string();
    assert!(enforced.contains("rules for files") && enforced.contains("system calls"), "{enforced}");
    assert_eq!(host.status("fix@latest")["isolation"], Value::Null);
}

/// Each of these ends the process, or is ended with it.
#[test]
fn a_crash_costs_its_request_and_nothing_else() {
    let host = isolated(&alone()).env("HHRF_WORKER_THREADS", "100").start();
    pid(&host);
    // In a control group, the thread too many is not started.
    let has_group = host.status("bad@1.0.0")["isolation"]["enforced"].to_string().contains("pids.max");
    let mut faults = vec![
        ("segfault", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("exit", "status 0"),
        ("overflow", "SIGABRT"),
        ("double-panic", "SIGABRT"),
        // Its allocation fails, unless the host has looked just before, or its control group was full.
        ("memory", "SIGABRT|bytes of memory are in use|bytes of memory that are allowed were needed"),
        ("garbage", "a frame"),
        ("mid-response", "status 3"),
        ("threads", "threads are running"),
    ];
    if has_group {
        faults.pop();
    }
    for (kind, what) in &faults {
        let (kind, what) = (*kind, *what);
        let says = |text: &str| what.split('|').any(|what| text.contains(what));
        let before = host.status("bad@1.0.0")["isolation"]["crashes"].as_u64().expect("a count");
        let worker = pid(&host);
        let id = format!("the-{kind}");
        let answer =
            host.request("GET", &format!("/rpc/bad@1.0.0/fault/{kind}"), &[("x-request-id", &id)], b"");
        // Leaked threads are noticed a moment later, when the call has its answer.
        if kind != "threads" {
            assert!(answer.assert_problem(502).text().contains("crashed"), "{kind}: {answer:?}");
        }
        let line = host.wait_for_log(|line| {
            line.message().contains("worker crashed") && line.0["fields"]["worker"] == worker.as_raw_pid()
        });
        assert!(says(line.message()), "{kind}: {line:?}");
        if kind != "threads" {
            assert_eq!(line.field("request_id"), id);
        }
        assert!(line.field("function") == "bad@1.0.0" && line.field("digest").len() == 64, "{line:?}");
        assert_gone(worker);
        host.get("/rpc/bad@1.0.0/ping").assert_status(200).assert_text("pong");
        host.get("/rpc/fix/ping").assert_status(200);
        let status = host.status("bad@1.0.0");
        assert_eq!(status["isolation"]["crashes"], before + 1, "{kind}: {status:#}");
        let report = &status["isolation"]["last_crashes"][0];
        assert!(report["what"].as_str().is_some_and(says), "{kind}: {report}");
    }
    let metrics = host.admin("/metrics").text().to_owned();
    let count = format!("fezz_crashes_total{{function=\"bad\",version=\"1.0.0\"}} {}", faults.len());
    assert!(metrics.contains(&count), "{metrics}");
    let report = host.status("bad@1.0.0")["isolation"]["last_crashes"].to_string();
    assert!(report.contains(faults.last().expect("one").1), "{report}");
}

#[test]
fn what_a_crashing_worker_wrote_is_in_the_report() {
    let host = isolated(&alone()).start();
    host.get("/rpc/bad@1.0.0/fault/overflow").assert_problem(502);
    let line = host.wait_for_log(|line| line.message().contains("worker crashed"));
    assert!(line.field("stderr").contains("overflowed its stack"), "{line:?}");
    let said = host.wait_for_log(|line| line.message().contains("overflowed its stack"));
    assert_eq!((said.field("function"), said.field("stream")), ("bad@1.0.0", "stderr"));
}

#[test]
fn what_hangs_is_ended_at_its_deadline() {
    let mut keys = alone();
    keys["timeout_ms"] = json!(300);
    let host = isolated(&keys).start();
    for kind in ["loop", "deadlock", "stop"] {
        let worker = pid(&host);
        let begin = Instant::now();
        host.get(&format!("/rpc/bad@1.0.0/fault/{kind}")).assert_problem(504);
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(5), "{kind}: {took:?}");
        assert_gone(worker);
        host.get("/rpc/bad@1.0.0/ping").assert_status(200);
    }
    assert_eq!(host.status("bad@1.0.0")["isolation"]["crashes"], 0);
    assert_eq!(host.status("bad@1.0.0")["timeouts"], 3);
}

#[test]
fn a_worker_that_is_killed_costs_its_call() {
    let host = isolated(&alone()).start();
    let worker = pid(&host);
    // While it is idle: nobody notices.
    kill_process(worker, Signal::KILL).expect("killed");
    assert_gone(worker);
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
    let worker = pid(&host);
    thread::scope(|scope| {
        let call = scope.spawn(|| host.get("/rpc/bad@1.0.0/sleep/60000"));
        // A call that has not begun would be made in the next worker.
        host.wait_for_log(|line| line.message() == "sleeping");
        kill_process(worker, Signal::KILL).expect("killed");
        call.join().expect("answered").assert_problem(502);
    });
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn a_hundred_crashes_in_a_row_are_a_hundred_lost_requests() {
    let host = isolated(&json!({ "workers": { "max": 2 } })).start();
    for _ in 0..100 {
        host.get("/rpc/bad@1.0.0/fault/abort").assert_problem(502);
    }
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
    assert_eq!(host.status("bad@1.0.0")["isolation"]["crashes"], 100);
}

/// Its constructor does what stands in the place of `WHAT`, once the marker is there: the probe has to pass.
const CONSTRUCTOR: &str = r#"
#include "fezz.h"
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void begin(void) {
    if (access("marker", F_OK) == 0) { WHAT; }
}
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    response->status = 200;
    response->body = FEZZ_STR("alive");
}
"#;

#[test]
fn a_constructor_that_aborts_or_hangs_is_an_answer() {
    for (what, part) in [("abort()", "SIGABRT"), ("for (;;) pause()", "did not start within")] {
        let host = Host::new();
        let library = c_library(host.root(), "begin", &CONSTRUCTOR.replace("WHAT", what));
        let host = host
            .function_with("begin@1.0.0", &library, &[("GET", "/")], json!({ "isolation": "process" }))
            .function("fix@latest", &fixture(), ROUTES)
            .env("HHRF_WORKER_START_MS", "500")
            .start();
        // A worker's working directory is its data directory; a probe's is the host's.
        let marker = host.host().root().join(".fezz/data/begin/marker");
        std::fs::write(&marker, "").expect("written");
        let answer = host.get("/rpc/begin@1.0.0");
        assert_eq!(answer.assert_problem(503).header("retry-after"), Some("1"));
        let line = host.wait_for_log(|line| line.message().contains("could not be started"));
        assert!(line.message().contains(part), "{line:?}");
        host.get("/rpc/fix/ping").assert_status(200);
        std::fs::remove_file(&marker).expect("removed");
        host.until(|host| host.get("/rpc/begin@1.0.0").status.as_u16(), |status| *status == 200);
    }
}

#[test]
fn the_hosts_default_isolates_every_function() {
    let host = Host::new().function("bad@1.0.0", &faults(), FAULTS).env("HHRF_ISOLATION", "process").start();
    host.get("/rpc/bad@1.0.0/fault/segfault").assert_problem(502);
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn a_full_disk_is_the_functions_error() {
    for isolation in ["process", "none"] {
        let host = isolated(&json!({ "isolation": isolation })).state_on_a_disk_of("100m").start();
        let answer = host.get("/rpc/bad@1.0.0/fault/disk");
        assert!(answer.assert_status(507).text().contains("No space left"), "{isolation}: {answer:?}");
        host.get("/rpc/bad@1.0.0/ping").assert_status(200);
        host.get("/rpc/fix/ping").assert_status(200);
    }
}

#[test]
fn a_worker_that_dies_in_mid_stream_resets_the_connection() {
    let host = async_host(json!({ "isolation": "process", "workers": { "max": 1 } })).start();
    let mut client = host.connect();
    client
        .write_all(b"GET /rpc/async@1.0.0/stream-forever HTTP/1.1\r\nhost: x\r\nx-request-id: mid\r\n\r\n")
        .expect("sent");
    let mut some = [0; 100_000];
    client.read_exact(&mut some).expect("it has begun");
    let worker = &host.status("async@1.0.0")["isolation"]["workers"][0]["pid"];
    let worker = worker.as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("a worker");
    kill_process(worker, Signal::KILL).expect("killed");
    let mut rest = Vec::new();
    let end = client.read_to_end(&mut rest);
    assert!(end.is_err(), "{end:?}: it ended as if it were whole");
    let line = host.wait_for_log(|line| line.message().contains("connection is cut"));
    assert_eq!((line.field("function"), line.field("request_id")), ("async@1.0.0", "mid"));
    host.get("/rpc/async@1.0.0/ping").assert_status(200);
}
