//! Loading in the serving process: it has a deadline, it comes before the swap, and what fails there leaves the old build.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use fezz_testkit::{Folder, Host, Numbered, Running, Stage, c_library, library, manifest};
use serde_json::json;

use crate::swaps::CLIENTS;
use crate::{ROUTES, fixture};

/// A function that responds with the number of its build, with `code` in its `fezz_init` and its `fezz_shutdown`, and
/// `global` before both. `path` is the file of this name in the function's data folder.
fn source(global: &str, init: &str, shutdown: &str) -> String {
    format!(
        r#"
#define _GNU_SOURCE
#include "fezz.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
static const volatile struct {{ char head[16]; char tail[16]; }} MARK = {{"<head-00000000>", "<tail-00000000>"}};
static char answer[17];
static char data_dir[4096];
static const char *path(const char *name) {{
    static __thread char text[4200];
    snprintf(text, sizeof text, "%s/%s", data_dir, name);
    return text;
}}
{global}
FEZZ_EXPORT uint32_t fezz_abi_version(void) {{ return FEZZ_ABI_VERSION; }}
FEZZ_EXPORT int32_t fezz_init(const FezzHost *host) {{
    for (int i = 0; i < 8; i++) {{
        answer[i] = MARK.head[6 + i];
        answer[9 + i] = MARK.tail[6 + i];
    }}
    answer[8] = '-';
    memcpy(data_dir, host->data_dir.ptr, host->data_dir.len);
    (void)path;
    {init}
    return 0;
}}
FEZZ_EXPORT void fezz_shutdown(void) {{ {shutdown} }}
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {{
    if (request->query.len) usleep(500000);
    response->status = 200;
    response->body = fezz_slice((const uint8_t *)answer, sizeof answer);
}}
"#
    )
}

/// Builds of such a function.
fn builds(global: &str, init: &str, shutdown: &str) -> Numbered {
    let folder = tempfile::tempdir().expect("a folder");
    Numbered::from_library(&c_library(folder.path(), "loading", &source(global, init, shutdown)))
}

/// A file in the data folder of the function with this id, in the host that is or will be started.
fn data_file(host: &Host, id: &str, name: &str) -> PathBuf {
    let folder = host.root().join(".fezz/data").join(id);
    fs::create_dir_all(&folder).expect("made");
    folder.join(name)
}

/// How many threads of the serving process have this name.
fn threads(host: &Running, name: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", host.serving_pid())).expect("listed");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}

const WAITS_FOR_A_FILE: &str = "while (access(path(\"hang\"), F_OK) == 0) usleep(10000);";

#[test]
fn a_load_that_hangs_has_the_deadline_of_its_calls_and_one_thread() {
    let host = Host::new();
    let library = c_library(host.root(), "hang", &source("", WAITS_FOR_A_FILE, ""));
    let hang = data_file(&host, "hang", "hang");
    fs::write(&hang, "").expect("written");
    let host = host
        .function_with("hang@1.0.0", &library, &[("ANY", "/")], json!({ "timeout_ms": 300 }))
        .function("fix@latest", &fixture(), ROUTES)
        .function("late@1.0.0", &fixture(), ROUTES)
        .env("HHRF_BLOCKING_THREADS", "2")
        .start();
    // It leaves a thread that the next load uses, if it is free by then.
    host.get("/rpc/fix/ping").assert_status(200);
    // Clients that leave cost nothing, and those that stay are told.
    for _ in 0..100 {
        let mut client = host.connect();
        client.write_all(b"GET /rpc/hang@1.0.0 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    }
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| host.get("/rpc/hang@1.0.0").assert_problem(504).status);
        }
    });
    host.get("/rpc/fix/ping").assert_status(200);
    assert!(threads(&host, "load") <= 2, "one load, whoever asks for it");
    // Neither calls nor loads of others wait for it.
    host.get("/rpc/late@1.0.0/ping").assert_status(200);
    let status = host.status("hang@1.0.0");
    assert!(status["timeouts"].as_u64() >= Some(16), "{status}");
    let error = status["last_error"]["message"].as_str().expect("it is told");
    assert!(status["state"] == "failed" && error.contains("fezz_init has not returned"), "{status}");
    host.until(|host| host.status("hang@1.0.0"), |status| status["in_flight"] == 0);
    // The very load that they have left ends.
    fs::remove_file(hang).expect("removed");
    host.until(|host| host.get("/rpc/hang@1.0.0").status.as_u16(), |status| *status == 200);
    let status = host.status("hang@1.0.0");
    assert!(status["cold_starts"] == 1 && status["state"] == "serving", "{status}");
}

#[test]
fn a_call_that_waits_for_a_load_has_a_permit() {
    let host = Host::new();
    let library = c_library(host.root(), "hang", &source("", WAITS_FOR_A_FILE, ""));
    let hang = data_file(&host, "hang", "hang");
    fs::write(&hang, "").expect("written");
    let keys = json!({ "max_concurrency": 1 });
    let host = host.function_with("hang@1.0.0", &library, &[("ANY", "/")], keys).start();
    thread::scope(|scope| {
        let waits = scope.spawn(|| host.get("/rpc/hang@1.0.0").assert_status(200).status);
        host.until(|host| host.status("hang@1.0.0"), |status| status["in_flight"] == 1);
        fs::remove_file(&hang).expect("removed");
        waits.join().expect("answered");
    });
    host.until(|host| host.status("hang@1.0.0"), |status| status["in_flight"] == 0);
}

/// Takes a lock of its data folder, as a database does. The probe has another folder.
const LOCK: &str = r#"
    lock = open(path("lock"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) { close(lock); return 11; }
    if (access(path("refuse"), F_OK) == 0) { close(lock); return 12; }
"#;

fn locking(prepare: impl FnOnce(Host) -> Host) -> Stage {
    Stage::start_with_builds(builds("static int lock = -1;", LOCK, "close(lock);"), prepare)
}

#[test]
fn a_build_that_cannot_start_beside_the_old_one_leaves_it_serving() {
    for isolation in ["none", "process"] {
        let stage = locking(|host| host.env("HHRF_ISOLATION", isolation).env("HHRF_WORKERS_MAX", "1"));
        let load = stage.load(CLIENTS);
        stage.f.overwrite(&stage.builds.build(2));
        stage.until_error("f@1.0.0", "fezz_init answered 11");
        stage.until_state("f@1.0.0", "serving_previous");
        load.wait_for_answers(CLIENTS as u64);
        stage.assert_build(1);
        load.stop().assert_flawless();
    }
}

#[test]
fn a_function_may_ask_to_be_stopped_before_its_successor_starts() {
    for isolation in ["none", "process"] {
        let stage = locking(|host| host.env("HHRF_ISOLATION", isolation).env("HHRF_WORKERS_MAX", "1"));
        let load = stage.load(CLIENTS);
        // The manifest alone changes nothing of the code: no call waits.
        stage.f.write_manifest(&manifest("f@1.0.0", &json!({ "swap": "stop-first" })));
        for build in 2..=4 {
            stage.f.overwrite(&stage.builds.build(build));
            stage.until_serving(build);
            load.raise_floor(build);
            load.wait_for_answers(CLIENTS as u64);
        }
        load.stop().assert_flawless();
        stage.assert_build(4);
    }
}

#[test]
fn an_ordered_change_waits_for_running_calls_and_goes_back_if_it_fails() {
    let stage = locking(|host| host);
    stage.f.write_manifest(&manifest("f@1.0.0", &json!({ "swap": "stop-first" })));
    stage.assert_build(1);
    let refuse = data_file(stage.host.host(), "f", "refuse");
    thread::scope(|scope| {
        let slow = scope.spawn(|| stage.host.get("/rpc/f@1.0.0?slow").body);
        stage.until(|stage| stage.host.status("f@1.0.0")["in_flight"] == 1, "the call");
        stage.f.overwrite(&stage.builds.build(2));
        stage.until_serving(2);
        assert_eq!(Numbered::number(&slow.join().expect("answered")), Some(1));
    });
    stage.assert_build(2);
    // The new one does not start: the old one is started again, and its callers have only waited.
    let load = stage.load(CLIENTS);
    load.raise_floor(2);
    fs::write(&refuse, "").expect("written");
    // Until the old one has been shut down, it needs no second start; so it must not be refused.
    let gone = scope_removed(&refuse);
    stage.f.overwrite(&stage.builds.build(3));
    stage.until_error("f@1.0.0", "fezz_init answered 12");
    drop(gone);
    load.wait_for_answers(CLIENTS as u64);
    stage.until_serving(3);
    load.raise_floor(3);
    load.wait_for_answers(CLIENTS as u64);
    load.stop().assert_flawless();
}

/// Removes the file when it is dropped.
fn scope_removed(file: &Path) -> impl Drop {
    struct Removed(PathBuf);
    impl Drop for Removed {
        fn drop(&mut self) {
            fs::remove_file(&self.0).expect("removed");
        }
    }
    Removed(file.to_owned())
}

/// Thread-locals in the initial-exec model, as those of allocators.
fn with_static_tls(bytes: usize) -> Numbered {
    let global = format!(
        "static __thread volatile char local[{bytes}] __attribute__((tls_model(\"initial-exec\"))) = {{1}};"
    );
    builds(&global, "if (local[0] != 1) return 9;\n    local[1] = 2;", "")
}

#[test]
fn builds_with_static_thread_locals_follow_each_other() {
    // As much as mimalloc takes, and as much as jemalloc.
    for (bytes, last) in [(350, 12), (3000, 8)] {
        let stage = Stage::start_with_builds(with_static_tls(bytes), |host| host);
        let pid = stage.host.serving_pid();
        for build in 1..=last {
            stage.f.overwrite(&stage.builds.build(build));
            stage.until_serving(build);
            stage.assert_build(build);
        }
        assert_eq!(stage.host.serving_pid(), pid, "one process has room for all of them");
    }
}

#[test]
fn a_worker_and_a_process_without_supervisor_have_room_for_them_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libtls.so");
    fs::write(&library, with_static_tls(3000).build(7)).expect("written");
    for host in [Host::new().arg("--no-supervisor"), Host::new().env("HHRF_ISOLATION", "process")] {
        let host = host.function("tls@1.0.0", &library, &[("GET", "/")]).start();
        host.get("/rpc/tls@1.0.0").assert_status(200).assert_text("00000007-00000007");
    }
}

#[test]
fn a_process_without_room_for_thread_locals_hands_over() {
    // Two of them fill it.
    let stage = Stage::start_with_builds(with_static_tls(100_000), |host| host);
    let load = stage.load(CLIENTS);
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    load.raise_floor(2);
    load.wait_for_answers(CLIENTS as u64);
    stage.f.overwrite(&stage.builds.build(3));
    let line = stage.host.wait_for_log(|line| line.message().starts_with("handing over"));
    assert!(line.field("reason").contains("static TLS"), "{line:?}");
    stage.host.wait_for_log(|line| line.message() == "handed over");
    // On new connections: the earlier process finishes those that it has.
    let build = |host: &Running| Numbered::number(&host.get_anew("/rpc/f@1.0.0").body);
    stage.host.until(build, |build| *build == Some(3));
    load.stop().assert_flawless();
}

#[test]
fn a_process_has_more_libraries_than_libc_has_thread_specific_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let global = "static pthread_key_t key; static void end(void *value) { (void)value; }";
    let init = "if (pthread_key_create(&key, end) != 0 || pthread_setspecific(key, answer) != 0) return 13;";
    let library = c_library(folder.path(), "keys", &source(global, init, ""));
    let names: Vec<_> = (0..1100).map(|number| format!("f{number}@1.0.0")).collect();
    let host = names.iter().fold(Host::new(), |host, name| host.function(name, &library, &[("GET", "/")]));
    let host = host.start();
    let pid = host.serving_pid();
    for name in &names {
        host.get(&format!("/rpc/{name}")).assert_status(200);
    }
    assert_eq!(host.serving_pid(), pid);
    let metrics = host.admin("/metrics");
    assert!(metrics.text().contains("\nfezz_libraries_mapped 1100\n"), "{}", metrics.text());
}

/// A thread that only `fezz_shutdown` joins: the end of the process does not bear it, as with C++'s `std::thread`.
const THREAD: &str = r#"
static pthread_t thread;
static volatile int runs, stops;
static void *work(void *none) { while (!stops) usleep(1000); return none; }
__attribute__((destructor)) static void end(void) { if (runs) abort(); }
"#;
const START: &str = "stops = 0; runs = 1; if (pthread_create(&thread, 0, work, 0) != 0) return 14;";

#[test]
fn libraries_end_with_their_shutdown_and_not_with_the_process() {
    for (what, shutdown) in [("joined", "stops = 1; pthread_join(thread, 0); runs = 0;"), ("static", "")] {
        for isolation in ["none", "process"] {
            let host = Host::new();
            let library = c_library(host.root(), what, &source(THREAD, START, shutdown));
            let host =
                host.function("thread@1.0.0", &library, &[("GET", "/")]).env("HHRF_ISOLATION", isolation);
            let mut host = host.start();
            host.get("/rpc/thread@1.0.0").assert_status(200);
            host.signal(rustix::process::Signal::TERM);
            assert!(host.wait().success(), "{what}, {isolation}: {:#?}", host.log());
            let crashed = |line: &fezz_testkit::LogLine| line.message().contains("crashed");
            assert!(!host.log().iter().any(crashed), "{what}, {isolation}: {:#?}", host.log());
        }
    }
}

#[test]
fn a_shutdown_that_crashes_is_the_probes_problem() {
    let stage = Stage::start();
    let other = stage.folder("crash@1.0.0");
    other.create(&builds("", "", "abort();").build(1));
    stage.until_error("crash@1.0.0", "crashed or ended the process");
    stage.assert_build(1);
}

/// Folders for as many functions, deployed at once.
fn deploy_all(stage: &Stage, count: u32, library: &[u8]) -> Vec<Folder> {
    let create = |number| {
        let folder = stage.folder(&format!("compute{number}@1.0.0"));
        folder.create(library);
        folder
    };
    (0..count).map(create).collect()
}

#[test]
fn functions_that_compute_in_their_init_do_not_make_each_other_late() {
    let init = r#"
        struct timespec now = {0, 0};
        do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < 700);
    "#;
    let stage = Stage::start_with(|host| host.env("HHRF_RESCAN_MS", "3600000"));
    deploy_all(&stage, 12, &builds("", init, "").build(1));
    for number in 0..12 {
        stage.until_state(&format!("compute{number}@1.0.0"), "serving");
    }
    let refused = |line: &fezz_testkit::LogLine| line.message().contains("did not load within");
    assert!(!stage.host.log().iter().any(refused), "{:#?}", stage.host.log());
}

fn router() -> PathBuf {
    library("fezz-fixture-router")
}

#[test]
fn a_router_that_cannot_be_set_up_is_a_failed_deploy() {
    let stage = Stage::start();
    for (setup, reason) in
        [("panic", "there is no such table"), ("error", "the set-up is wrong: the connection was refused")]
    {
        let folder = stage.folder(&format!("{setup}@1.0.0"));
        let library = fs::read(router()).expect("read");
        folder.create_with(&library, &json!({ "env": { "SETUP": setup } }));
        stage.until_error(&format!("{setup}@1.0.0"), reason);
        stage.until_state(&format!("{setup}@1.0.0"), "failed");
    }
    // As the next build of a function that serves.
    stage.f.write_manifest(&manifest("f@1.0.0", &json!({ "env": { "SETUP": "panic" } })));
    stage.until_state("f@1.0.0", "serving");
    stage.f.overwrite(&fs::read(router()).expect("read"));
    stage.until_error("f@1.0.0", "there is no such table");
    stage.assert_build(1);
}

#[test]
fn a_router_whose_set_up_fails_for_a_while_is_tried_again_now_and_then() {
    for isolation in ["none", "process"] {
        let host = Host::new().function("router@1.0.0", &router(), &[("GET", "/")]);
        let (down, tries) = (data_file(&host, "router", "down"), data_file(&host, "router", "tries"));
        fs::write(&down, "").expect("written");
        let host = host.env("HHRF_ISOLATION", isolation).start();
        for _ in 0..50 {
            let answer = host.get("/rpc/router@1.0.0");
            assert!(answer.assert_problem(503).header("retry-after").is_some(), "{answer:?}");
        }
        let tried = fs::read(&tries).expect("read").len();
        assert!(tried < 10, "{tried} times for 50 requests");
        host.wait_for_log(|line| line.message().contains("the database is down"));
        fs::remove_file(&down).expect("removed");
        host.until(|host| host.get("/rpc/router@1.0.0").status.as_u16(), |status| *status == 200);
        // Made once, by the load: each later call finds the same.
        let made = host.get("/rpc/router@1.0.0").body;
        assert_eq!(host.get("/rpc/router@1.0.0").body, made);
    }
}

#[test]
fn a_hand_over_leaves_a_function_to_one_process_at_a_time() {
    let stage = locking(|host| host.env("HHRF_HAND_OVER_MS", "300"));
    stage.f.write_manifest(&manifest("f@1.0.0", &json!({ "swap": "stop-first" })));
    stage.assert_build(1);
    let load = stage.load(CLIENTS);
    stage.host.signal(rustix::process::Signal::HUP);
    stage.host.wait_for_log(|line| line.message() == "handed over");
    load.wait_for_answers(4 * CLIENTS as u64);
    load.stop().assert_flawless();
}
