//! Ends and restarts of serving processes: signal handlers of functions, attribution of crashes, restart back-off, start timeouts.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, LogLine, Running, c_library};
use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::isolation::{FAULTS, faults};
use crate::supervision::{crashes, process, provoke, unguarded};
use crate::{ROUTES, fixture, host};

/// Takes over the signals by which a host ends: in its `fezz_init`, and again in each call.
const TAKES_SIGNALS: &str = r#"
#include "fezz.h"
#include <signal.h>
#include <unistd.h>
static void end(int signal) { (void)signal; _exit(7); }
static void take(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, end); signal(SIGUSR1, end); }
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT int32_t fezz_init(const FezzHost *host) { (void)host; take(); return 0; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    take();
    response->status = 200;
    response->body = FEZZ_STR("taken");
}
"#;

#[test]
fn a_function_that_takes_signals_costs_no_drain() {
    for (signal, mode) in
        [(Signal::TERM, &[] as &[&str]), (Signal::INT, &[]), (Signal::TERM, &["--no-supervisor"])]
    {
        let host = host();
        let library = c_library(host.root(), "takes", TAKES_SIGNALS);
        let host = host.function("takes@1.0.0", &library, &[("GET", "/")]);
        let mut host = mode.iter().fold(host, |host, argument| host.arg(argument)).start();
        host.get_anew("/rpc/takes@1.0.0").assert_status(200).assert_text("taken");
        let line = host.wait_for_log(|line| line.message().contains("taken over signals"));
        assert_eq!(
            (line.field("function"), line.field("signals")),
            ("takes@1.0.0", "SIGTERM SIGINT SIGCHLD"),
            "and not SIGUSR1"
        );
        if !mode.is_empty() {
            // There is no supervisor to speak through a pipe: what counts is what was restored at the load.
            continue;
        }
        let mut client = host.connect();
        client.write_all(b"GET /rpc/fix/sleep/1500 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        host.until(|host| host.status("fix@latest")["in_flight"].clone(), |calls| *calls == 1);
        host.signal(signal);
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("answered and closed");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(host.wait().success());
        assert!(host.log().iter().any(|line| line.message() == "ended"));
    }
}

/// The children of a process that have ended and were not waited for.
fn zombies(parent: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let is_zombie = |pid: &&str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
    };
    children.split_whitespace().filter(is_zombie).count()
}

#[test]
fn the_first_process_of_a_container_waits_for_every_child() {
    let root = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
    let script = format!(r#"exec unshare {root} --pid --fork --kill-child --mount-proc "$0" "$@""#);
    let isolated = json!({ "isolation": "process", "workers": { "max": 2 } });
    let host = unguarded().function_with("apart@1.0.0", &fixture(), ROUTES, isolated).after(&script).start();
    let unshare = host.pid();
    let supervisor = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).expect("read");
    let supervisor: u32 = supervisor.trim().parse().expect("one child");
    for count in 1..=5 {
        host.get_anew("/rpc/apart@1.0.0/ping").assert_status(200);
        provoke(&host, "/rpc/bad@1.0.0/fault/segfault");
        host.until(crashes, |crashes| crashes.len() == count);
    }
    host.get_anew("/rpc/fix/ping").assert_status(200);
    host.until(|_| zombies(supervisor), |count| *count == 0);
}

#[test]
fn an_old_process_may_keep_connections_for_as_long_as_it_was_told() {
    let host =
        host().env("HHRF_HAND_OVER_MS", "7000").env("HHRF_GRACE_MS", "100").env("HHRF_LOG", "debug").start();
    let mut idle = host.connect();
    idle.write_all(b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "the earlier serving process has ended");
    let in_time = |line: &LogLine| !line.message().contains("did not end in time");
    assert!(host.log().iter().all(in_time), "{:#?}", host.log());
    assert!(crashes(&host).is_empty());
}

fn kill_serving(host: &Running) {
    let before = host.serving_pid();
    kill_process(process(before), Signal::KILL).expect("killed");
    host.until(Running::serving_pid, |pid| *pid != before && *pid != host.pid());
}

#[test]
fn a_kill_from_outside_blames_nobody() {
    let host = host().env("HHRF_QUARANTINE_CRASHES", "1").start();
    let mut client = host.connect();
    client.write_all(b"GET /rpc/fix/wait-for-cancel HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    host.until(|host| host.get("/rpc/fix/waiting").text().to_owned(), |calls| calls == "1");
    kill_serving(&host);
    let line = host.wait_for_log(|line| line.message().contains("no function's fault: from outside"));
    assert!(line.field("running").starts_with("fix@latest#"), "{line:?}");
    host.get_anew("/rpc/fix/ping").assert_status(200);
    assert!(crashes(&host).iter().all(|line| line.field("function").is_empty()), "nobody is blamed");
}

#[test]
fn a_quarantine_ends_when_its_window_has_passed() {
    let host =
        unguarded().env("HHRF_QUARANTINE_CRASHES", "1").env("HHRF_QUARANTINE_WINDOW_MS", "4000").start();
    provoke(&host, "/rpc/bad@1.0.0/fault/segfault");
    host.until(crashes, |crashes| crashes.len() == 1);
    host.get_anew("/rpc/bad@1.0.0/ping").assert_problem(503);
    let serving = host.serving_pid();
    host.until(|host| host.get_anew("/rpc/bad@1.0.0/ping").status.as_u16(), |status| *status == 200);
    assert_eq!(host.serving_pid(), serving, "by the process that has refused it");
    assert!(host.status("bad@1.0.0")["quarantined"].is_null());
}

#[test]
fn a_crash_of_an_old_process_is_a_quarantine_in_the_new_one() {
    for (quarantine, status) in [("refuse", 503), ("isolate", 200)] {
        let host = unguarded().env("HHRF_QUARANTINE_CRASHES", "1").env("HHRF_QUARANTINE", quarantine).start();
        let mut kept = host.connect();
        kept.write_all(b"GET /rpc/bad@1.0.0/ping HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        assert_ne!(kept.read(&mut [0; 4096]).expect("answered"), 0);
        host.signal(Signal::HUP);
        host.wait_for_log(|line| line.message() == "handed over");
        let serving = host.serving_pid();
        kept.write_all(b"GET /rpc/bad@1.0.0/fault/segfault HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        let line = host.wait_for_log(|line| line.message().contains("is in quarantine"));
        assert_eq!(line.field("function"), "bad@1.0.0");
        let is_so = |host: &Running| {
            let function = host.status("bad@1.0.0");
            function["quarantined"].is_string() || function["isolation"]["sandbox"].is_string()
        };
        host.until(is_so, |so| *so);
        assert_eq!(host.get_anew("/rpc/bad@1.0.0/ping").status.as_u16(), status, "{quarantine}");
        assert_eq!(host.serving_pid(), serving);
    }
}

/// Answers, and crashes in a thread of its own a little later.
const CRASHES_LATER: &str = r#"
#include "fezz.h"
#include <poll.h>
#include <pthread.h>
static void *crash(void *nothing) { poll(0, 0, 20); *(volatile int *)nothing = 1; return nothing; }
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    pthread_t thread;
    pthread_create(&thread, 0, crash, 0);
    response->status = 200;
    response->body = FEZZ_STR("later");
}
"#;

#[test]
fn a_process_that_crashes_as_soon_as_it_serves_is_restarted_with_back_off() {
    let host = host();
    let library = c_library(host.root(), "later", CRASHES_LATER);
    let host = host.function("later@1.0.0", &library, &[("GET", "/")]).start();
    let begin = Instant::now();
    for count in 1..=8 {
        provoke(&host, "/rpc/later@1.0.0");
        host.until(crashes, |crashes| crashes.len() >= count);
    }
    // 10, 20, 40 ms and so on, up to 640 ms in front of the eighth.
    assert!(begin.elapsed() >= Duration::from_millis(1270), "{:?}", begin.elapsed());
    for line in crashes(&host) {
        assert!(line.message().contains("in a thread that no call was running on"), "{line:?}");
        assert!(line.field("suspects").contains("later@1.0.0#"), "{line:?}");
    }
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

/// Replaces the program's file.
fn install(program: &Path, write: impl FnOnce(&Path)) {
    let new = program.with_extension("new");
    write(&new);
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("executable");
    fs::rename(&new, program).expect("renamed");
}

fn good(new: &Path) {
    fs::copy(fezz_testkit::host_program(), new).expect("copied");
}

fn hung(new: &Path) {
    fs::write(new, "#!/bin/sh\nexec sleep 1000\n").expect("written");
}

fn with_own_program(start_timeout: &str) -> (Running, std::path::PathBuf) {
    let own = Host::new();
    let program = own.root().join("hhrf");
    good(&program);
    let host = own.function("fix@latest", &fixture(), ROUTES).binary(&program);
    (host.env("HHRF_START_TIMEOUT_MS", start_timeout).start(), program)
}

fn handed_over(host: &Running, times: usize) {
    let count = |host: &Running| host.log().iter().filter(|line| line.message() == "handed over").count();
    host.until(count, |count| *count >= times);
}

#[test]
fn a_program_that_never_serves_is_given_up() {
    let (host, program) = with_own_program("1000");
    let before = host.serving_pid();
    install(&program, hung);
    host.wait_for_log(|line| line.message().contains("is given up"));
    host.wait_for_log(|line| line.message().contains("ended before it was ready"));
    host.until(Running::serving_pid, |pid| *pid == before);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    // A crash finds the program of the supervisor, after the hung one was tried.
    kill_serving(&host);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    install(&program, good);
    handed_over(&host, 1);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    let blamed = |line: &LogLine| !line.field("function").is_empty();
    assert!(!crashes(&host).iter().any(blamed), "what the supervisor kills is nobody's fault");
}

#[test]
fn a_good_program_takes_the_place_of_one_that_hangs() {
    let (host, program) = with_own_program("3600000");
    install(&program, hung);
    host.wait_for_log(|line| line.message().starts_with("handing over"));
    install(&program, good);
    host.signal(Signal::HUP);
    handed_over(&host, 1);
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_function_that_cannot_run_in_a_worker_is_refused_in_quarantine() {
    let host = Host::new();
    let source = NEEDS_THE_HOST;
    let library = c_library(host.root(), "needs", source);
    let host = host
        .function("needs@1.0.0", &library, &[("GET", "/")])
        .function("bad@1.0.0", &faults(), FAULTS)
        .env("HHRF_QUARANTINE_CRASHES", "1")
        .env("HHRF_QUARANTINE", "isolate")
        .start();
    provoke(&host, "/rpc/needs@1.0.0");
    host.until(crashes, |crashes| crashes.len() == 1);
    let refused = host.get_anew("/rpc/needs@1.0.0");
    let text = refused.assert_problem(503).text().to_owned();
    assert!(text.contains("cannot run in worker processes"), "{text}");
}

/// Needs the network, which a worker has not, and crashes.
const NEEDS_THE_HOST: &str = r#"
#include "fezz.h"
#include <stdlib.h>
#include <sys/socket.h>
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT int32_t fezz_init(const FezzHost *host) {
    (void)host;
    return socket(AF_INET, SOCK_STREAM, 0) < 0;
}
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request; (void)response;
    abort();
}
"#;
