//! From the first load to the end of the process.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Folder, Host, Running, c_library};
use rustix::process::Signal;
use serde_json::json;

use crate::{ROUTES, async_host, fixture, host};

/// Logs each step of its life; its static survives them.
const LIFE: &str = r#"
#include "fezz.h"
#include <stdio.h>
static const FezzHost *host;
static int loads, calls;
static void say(const char *what) {
    FezzLogRecord record = {0};
    record.size = sizeof record;
    record.level = FEZZ_LOG_INFO;
    record.message = fezz_slice((const uint8_t *)what, __builtin_strlen(what));
    host->log(host->ctx, &record);
}
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT int32_t fezz_init(const FezzHost *table) {
    char text[64];
    host = table;
    snprintf(text, sizeof text, "life: init %d after %d calls", ++loads, calls);
    say(text);
    return 0;
}
FEZZ_EXPORT void fezz_shutdown(void) { say("life: shutdown"); }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    calls++;
    response->status = 200;
    response->body = FEZZ_STR("alive");
}
"#;

#[test]
fn an_idle_function_is_shut_down_and_loaded_again() {
    let host = Host::new();
    let life = c_library(host.root(), "life", LIFE);
    let mut host = host
        .function("life@1.0.0", &life, &[("GET", "/")])
        .env("HHRF_CACHE_IDLE_MS", "200")
        .env("HHRF_CACHE_SWEEP_MS", "20")
        .start();
    host.get("/rpc/life@1.0.0").assert_status(200).assert_text("alive");
    let shutdowns =
        |host: &Running| host.log().iter().filter(|line| line.message() == "life: shutdown").count();
    host.wait_for_log(|line| line.message() == "life: shutdown");
    host.get("/rpc/life@1.0.0").assert_status(200).assert_text("alive");
    let again = host.wait_for_log(|line| line.message() == "life: init 2 after 1 calls");
    assert_eq!(again.field("function"), "life@1.0.0");
    host.signal(Signal::TERM);
    assert!(host.wait().success());
    host.wait_for_log(|line| line.message() == "ended");
    assert_eq!(shutdowns(&host), 2, "{:#?}", host.log());
}

#[test]
fn statics_of_a_rust_function_outlive_an_eviction() {
    let host = Host::new()
        .function_with("fix@latest", &fixture(), ROUTES, json!({ "env": { "GREETING": "hello" } }))
        .env("HHRF_LOG", "hhrf=debug")
        .env("HHRF_CACHE_IDLE_MS", "200")
        .env("HHRF_CACHE_SWEEP_MS", "20")
        .start();
    let shutdowns = |host: &Running| host.log().iter().filter(|line| line.message() == "shut down").count();
    for load in 1..=3 {
        // One call for each load: a second might come after the eviction that this waits for.
        host.get("/rpc/fix/calls").assert_status(200).assert_text(&load.to_string());
        host.until(shutdowns, |count| *count == load);
        let idle = host.status("fix@latest");
        assert_eq!((&idle["library"], &idle["cold_starts"]), (&json!("idle"), &json!(load)), "{idle}");
    }
    host.get("/rpc/fix/variable").assert_status(200).assert_text("hello");
    assert_eq!(
        host.admin("/metrics").text().lines().find(|line| line.starts_with("fezz_libraries_mapped ")),
        Some("fezz_libraries_mapped 1")
    );
}

/// Ids of the threads with this name.
fn threads_named(host: &Running, name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", host.serving_pid())).expect("the host runs");
    tasks
        .flatten()
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
        })
        .map(|task| task.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Clients in statics are tied to the library's runtime, which therefore outlives the eviction too, and is one thread that waits.
#[test]
fn clients_in_statics_work_after_an_eviction() {
    let host =
        async_host(json!({})).env("HHRF_CACHE_IDLE_MS", "100").env("HHRF_CACHE_SWEEP_MS", "10").start();
    let path = format!("/rpc/async@1.0.0/clients?server={}", host.address());
    let first = host.get(&path).assert_status(200).text().to_owned();
    assert!(first.starts_with("pong 127.0.0.1:"), "{first}");
    for cold_starts in 2..=4 {
        let stopped = |host: &Running| host.log().iter().filter(|line| line.message() == "stopped").count();
        host.until(stopped, |stopped| *stopped == cold_starts - 1);
        assert_eq!(threads_named(&host, "async").len(), 1, "the runtime's one thread");
        // The very same connection: nothing had to be made anew.
        host.get(&path).assert_status(200).assert_text(&first);
        assert_eq!(host.status("async@1.0.0")["cold_starts"], cold_starts);
    }
    let (pid, threads) = (host.serving_pid(), threads_named(&host, "async"));
    host.stop();
    assert!(!std::path::Path::new(&format!("/proc/{pid}/task/{}", threads[0])).exists(), "it ended at drain");
}

/// A function that logs its life under `name`, and takes its time when it is asked anything.
fn slow_life(host: &Host, name: &str) -> Vec<u8> {
    let source = LIFE
        .replace("life:", &format!("{name}:"))
        .replace("(void)request;", "if (request->query.len) usleep(2000000);")
        .replace("#include <stdio.h>", "#include <stdio.h>\n#include <unistd.h>\nint usleep(unsigned);");
    std::fs::read(c_library(host.root(), name, &source)).expect("read")
}

#[test]
fn calls_end_on_the_code_they_began_with_and_then_it_is_shut_down_once() {
    let host = Host::new();
    let (old, new) = (slow_life(&host, "old"), slow_life(&host, "new"));
    let folder = Folder::new(&host.functions(), "life@1.0.0");
    folder.create(&old);
    // A supervisor would hand over to a process without any.
    let host = host.env("HHRF_LIBRARIES_WARNING", "2").arg("--no-supervisor").start();
    let mut client = host.connect();
    client.write_all(b"GET /rpc/life@1?slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
    host.until(|host| host.status("life@1.0.0"), |status| status["in_flight"] == 1);
    folder.overwrite(&new);
    let digest = fezz_testkit::digest(&new);
    host.until(|host| host.status("life@1.0.0"), |status| status["digest"] == digest);

    let answer = host.get("/rpc/life@1");
    assert_eq!(answer.assert_status(200).header("x-fezz-digest"), Some(&digest[..12]));
    let has =
        |host: &Running, message: &str| host.log().iter().filter(|line| line.message() == message).count();
    assert_eq!(has(&host, "old: shutdown"), 0, "its call is still running");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains(&digest[..12]), "{answer}");
    host.wait_for_log(|line| line.message() == "old: shutdown");
    let warning = host.wait_for_log(|line| line.level() == "WARN" && line.message().contains("stay mapped"));
    assert_eq!(warning.0["fields"]["mapped"], 2);
    let metrics = host.admin("/metrics");
    assert!(metrics.text().contains("\nfezz_libraries_mapped 2\n"), "{}", metrics.text());
    assert!(metrics.text().contains("\nfezz_functions_loaded 1\n"), "{}", metrics.text());
    let mut host = host;
    host.signal(Signal::TERM);
    assert!(host.wait().success());
    host.wait_for_log(|line| line.message() == "ended");
    assert_eq!((has(&host, "old: shutdown"), has(&host, "new: shutdown")), (1, 1), "{:#?}", host.log());
}

#[test]
fn many_first_requests_load_a_function_once() {
    let host = Host::new();
    let life = c_library(host.root(), "life", LIFE);
    let host = host.function("life@1.0.0", &life, &[("GET", "/")]).start();
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                host.get("/rpc/life@1.0.0").assert_status(200).assert_text("alive");
            });
        }
    });
    assert_eq!(host.status("life@1.0.0")["cold_starts"], 1);
}

#[test]
fn a_request_without_a_route_loads_nothing() {
    let host = Host::new();
    let life = c_library(host.root(), "life", LIFE);
    let host = host.function("life@1.0.0", &life, &[("GET", "/")]).start();
    host.get("/rpc/life@1.0.0/nothing").assert_problem(404);
    host.request("POST", "/rpc/life@1.0.0", &[], b"").assert_problem(405);
    assert!(!host.log().iter().any(|line| line.message().starts_with("life:")));
    host.get("/rpc/life@1.0.0").assert_status(200);
    host.wait_for_log(|line| line.message().starts_with("life: init"));
}

/// The same, with another answer of `fezz_init`.
fn life_that_answers(code: &str) -> String {
    LIFE.replace("return 0;", &format!("return {code};"))
}

#[test]
fn a_function_that_refuses_to_start_is_not_deployed() {
    let host = Host::new();
    let refusing = c_library(host.root(), "life", &life_that_answers("7"));
    let host = host
        .function("life@1.0.0", &refusing, &[("GET", "/")])
        .function("fix@latest", &fixture(), ROUTES)
        .start();
    host.get("/rpc/life@1.0.0").assert_problem(404);
    let line = host.wait_for_log(|line| line.message().contains("fezz_init answered 7"));
    assert_eq!(line.field("function"), "life@1.0.0");
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_function_that_refuses_to_start_in_the_host_alone_is_503() {
    let host = Host::new();
    // A probe's data directory is a scratch folder, and not named after the function.
    let only_in_the_host = "host->data_dir.ptr[host->data_dir.len - 1] == 'e' ? 7 : 0";
    let refusing = c_library(host.root(), "life", &life_that_answers(only_in_the_host));
    let host = host
        .function("life@1.0.0", &refusing, &[("GET", "/")])
        .function("fix@latest", &fixture(), ROUTES)
        .start();
    let answer = host.get("/rpc/life@1.0.0");
    assert_eq!(answer.assert_problem(503).header("retry-after"), Some("1"));
    let status = host.status("life@1.0.0");
    assert_eq!(status["state"], "failed", "{status}");
    assert!(
        status["last_error"]["message"].as_str().is_some_and(|text| text.contains("answered 7")),
        "{status}"
    );
    let line = host.wait_for_log(|line| line.message().contains("fezz_init answered 7"));
    assert_eq!(line.field("function"), "life@1.0.0");
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn signals_let_running_calls_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut host = host().start();
        let mut client = host.connect();
        client.write_all(b"GET /rpc/fix/sleep/700 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        let idle = host.connect();
        // A call that was counted has begun; this one was sent after it, on a connection of its own.
        host.get("/rpc/fix/ping").assert_status(200);
        host.signal(signal);
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("answered and closed");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slept"), "{answer}");
        assert_eq!(host.wait().code(), Some(0));
        drop(idle);
        assert!(std::net::TcpStream::connect(host.address()).is_err(), "it still listens");
    }
}

#[test]
fn a_call_that_hangs_does_not_hold_up_the_end() {
    let mut host = Host::new()
        .function_with("fix@latest", &fixture(), ROUTES, json!({ "timeout_ms": 60_000 }))
        .env("HHRF_GRACE_MS", "300")
        .start();
    let mut client = host.connect();
    client.write_all(b"GET /rpc/fix/sleep/60000 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    host.get("/rpc/fix/ping").assert_status(200);
    let begin = Instant::now();
    host.signal(Signal::TERM);
    assert_eq!(host.wait().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn a_restart_serves_from_the_store_without_a_new_probe() {
    let host = host().env("HHRF_LOG", "debug").start();
    host.get("/rpc/fix/ping").assert_status(200);
    let host = host.stop();
    let host = host.env("HHRF_PROBE_TIMEOUT_MS", "1").start();
    host.get("/rpc/fix/ping").assert_status(200);
}
