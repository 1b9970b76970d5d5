//! The supervisor: crashes of the serving process, whose fault they were, and hand-overs.

use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, LogLine, Running, c_library, digest};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::json;

use crate::isolation::{FAULTS, faults};
use crate::{ROUTES, async_host, fixture, host};

/// A host with the function that goes wrong in the host's own process, and one that does not.
fn unguarded() -> Host {
    Host::new()
        .function("bad@1.0.0", &faults(), FAULTS)
        .function("fix@latest", &fixture(), ROUTES)
        .env("HHRF_QUARANTINE_CRASHES", "1000")
}

/// Sends a request and gives the connection up, whatever becomes of it.
fn provoke(host: &Running, path: &str) {
    let mut client = host.connect();
    let _ = write!(client, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let _ = client.read_to_end(&mut Vec::new());
}

fn crashes(host: &Running) -> Vec<LogLine> {
    let is_one = |line: &LogLine| line.message().starts_with("the serving process crashed");
    host.log().into_iter().filter(is_one).collect()
}

fn process(pid: u32) -> Pid {
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
    // Polls that block, until there is no thread left to accept another.
    let mut clients = Vec::new();
    let is_noticed =
        |host: &Running| host.log().iter().any(|line| line.message().contains("no sign of life"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_noticed(&host) {
        assert!(Instant::now() < deadline, "{:#?}", host.log());
        let mut client = host.connect();
        client.write_all(b"GET /rpc/async@1.0.0/block/600000 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        clients.push(client);
        thread::sleep(Duration::from_millis(50));
    }
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

/// Asks again and again, on connections that are kept, until it is told to stop; answers with the failures.
struct Load<'h> {
    host: &'h Running,
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load<'_> {
    fn run(&self) -> Vec<String> {
        let mut failures = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
            for _ in 0..50 {
                let url = format!("http://{}/rpc/fix/ping", self.host.address());
                match agent.get(&url).call() {
                    Ok(answer) if answer.status().as_u16() == 200 => {
                        self.answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(answer) => failures.push(answer.status().to_string()),
                    Err(error) => failures.push(error.to_string()),
                }
            }
        }
        failures
    }
}

#[test]
fn hand_overs_under_load_fail_no_request() {
    let host = host().start();
    let load = Load { host: &host, stop: AtomicBool::new(false), answered: AtomicUsize::new(0) };
    let rounds = if std::env::var_os("FEZZ_CHAOS").is_some() { 100 } else { 5 };
    let failures: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| load.run())).collect();
        for round in 1..=rounds {
            let before = load.answered.load(Ordering::Relaxed);
            let serving = host.serving_pid();
            host.signal(Signal::HUP);
            let handed = |line: &&LogLine| line.message() == "handed over";
            host.until(|host| host.log().iter().filter(handed).count(), |count| *count == round);
            assert_ne!(host.serving_pid(), serving);
            host.until(|_| load.answered.load(Ordering::Relaxed), |answered| *answered > before + 20);
        }
        load.stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("joined")).collect()
    });
    let answered = load.answered.load(Ordering::Relaxed);
    eprintln!("{rounds} hand-overs, {answered} requests, {} failures", failures.len());
    assert!(failures.is_empty(), "{failures:?} beside {answered} answers");
    // All of the old ones have ended, or are about to.
    host.until(
        |host| {
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", host.pid())).unwrap_or_default()
        },
        |children| children.split_whitespace().count() == 1,
    );
}

#[test]
fn a_call_that_is_running_at_a_hand_over_is_answered() {
    let host = host().start();
    let mut client = host.connect();
    client.write_all(b"GET /rpc/fix/sleep/5000 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    let mut idle = host.connect();
    idle.write_all(b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    host.until(|host| host.status("fix@latest")["calls"].clone(), |calls| *calls == 1);
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    // A connection that was kept serves one more request, and says that it was the last.
    idle.write_all(b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    for mut client in [client, idle] {
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("answered and closed");
        assert!(answer.contains("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    }
}

#[test]
fn a_process_with_many_libraries_is_handed_over_from() {
    let host = Host::new()
        .function("bad@1.0.0", &faults(), FAULTS)
        .function("fix@latest", &fixture(), ROUTES)
        .env("HHRF_LIBRARIES_WARNING", "2")
        .start();
    let before = host.serving_pid();
    host.get_anew("/rpc/fix/ping").assert_status(200);
    host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
    let line = host.wait_for_log(|line| line.message().starts_with("handing over"));
    assert!(line.field("reason").contains("2 libraries"), "{line:?}");
    host.wait_for_log(|line| line.message() == "handed over");
    assert_ne!(host.serving_pid(), before);
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_process_with_much_memory_is_handed_over_from() {
    let host = host().env("HHRF_RENEW_MEMORY_BYTES", "1000").start();
    let line = host.wait_for_log(|line| line.message().starts_with("handing over"));
    assert_eq!(line.field("reason"), "memory");
    host.wait_for_log(|line| line.message() == "handed over");
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_program_that_was_replaced_is_started() {
    let own = Host::new();
    let program = own.root().join("hhrf");
    std::fs::copy(fezz_testkit::host_program(), &program).expect("copied");
    let host = own.function("fix@latest", &fixture(), ROUTES).binary(&program).start();
    let before = host.serving_pid();
    let new = host.host().root().join("new");
    std::fs::copy(fezz_testkit::host_program(), &new).expect("copied");
    std::fs::rename(&new, &program).expect("renamed");
    let line = host.wait_for_log(|line| line.message().starts_with("handing over"));
    assert_eq!(line.field("reason"), "the program was replaced");
    host.wait_for_log(|line| line.message() == "handed over");
    assert_ne!(host.serving_pid(), before);
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_hand_over_to_what_cannot_start_leaves_the_old_one() {
    let host = Host::new().function("fix@latest", &fixture(), ROUTES).arg("--config=own.toml");
    std::fs::write(host.root().join("own.toml"), "").expect("written");
    let host = host.start();
    let serving = host.serving_pid();
    std::fs::write(host.host().root().join("own.toml"), "nonsense = 1").expect("written");
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message().contains("ended before it was ready"));
    host.get_anew("/rpc/fix/ping").assert_status(200);
    assert_eq!(host.serving_pid(), serving);
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
fn systemd_is_told() {
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let receive = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let host =
        host().env("NOTIFY_SOCKET", path.to_str().expect("UTF-8")).env("WATCHDOG_USEC", "2000000").start();
    assert!(receive().contains("READY=1"));
    assert!(receive().contains("WATCHDOG=1"));
    host.signal(Signal::HUP);
    let until = |part: &str| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !receive().contains(part) {
            assert!(Instant::now() < deadline, "no {part}");
        }
    };
    until("RELOADING=1");
    until("READY=1");
    host.stop();
    until("STOPPING=1");
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
