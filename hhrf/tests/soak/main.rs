//! Deploys by the hundreds, under load. `just soak` runs it at full length and shows the figures; else it is short.

mod sockets;

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Folder, LogLine, Numbered, Running, Stage, c_library, digest, library, manifest};
use serde_json::{Value, json};

/// How often something is done: `short` in the suite, `full` in `just soak`.
fn length(short: u64, full: u64) -> u64 {
    if std::env::var_os("FEZZ_SOAK").is_some_and(|length| length == "full") { full } else { short }
}

fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("written");
}

/// Least, median and greatest, in milliseconds.
fn spread(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    format!("min {:.1}, median {:.1}, p99 {:.1}, max {:.1} ms", at(0), at(50), at(99), at(100))
}

#[test]
fn swaps_under_load_fail_no_request_and_never_go_back() {
    let swaps = length(9, 100);
    let builds = Numbered::from_library(&library("fezz-numbered"));
    let stage = Stage::start_with_builds(builds, |host| host);
    let load = stage.load(64);
    let ways: [fn(&Folder, &[u8]); 3] = [Folder::rename_over, Folder::overwrite, Folder::exchange];
    let mut latencies = Vec::new();
    for (build, way) in (2..swaps + 2).zip(ways.iter().cycle()) {
        let library = stage.builds.build(build);
        way(&stage.f, &library);
        let end_of_copy = Instant::now();
        stage.until_serving(build);
        latencies.push(end_of_copy.elapsed().as_secs_f64() * 1e3);
        load.raise_floor(build);
        load.wait_for_answers(64);
    }
    let answers = load.stop().assert_flawless();
    stage.assert_build(swaps + 1);
    say(&format!(
        "{swaps} swaps under 64 connections: 0 of {answers} requests failed, none was answered by an older build"
    ));
    say(&format!("from the end of a copy to the new build, under that load: {}", spread(latencies)));
}

/// Rewrites the library in place all the time, in pieces, and pauses as slow copies do.
fn rewrite(folder: &Folder, builds: &Numbered, written: &AtomicU64, stop: &AtomicBool) {
    for build in 2.. {
        let library = builds.build(build);
        // Every other time over the old bytes, so that a half-written file is as long as a whole one.
        let mut file = OpenOptions::new();
        file.write(true).truncate(build % 2 == 0);
        let mut file = file.open(folder.library()).expect("opened");
        for (index, piece) in (0..).zip(library.chunks(40_000)) {
            file.write_all(piece).expect("written");
            if (build + index) % 5 == 0 {
                thread::sleep(Duration::from_millis(1 + build % 12));
            }
        }
        drop(file);
        written.store(build, Ordering::SeqCst);
        if stop.load(Ordering::SeqCst) {
            return;
        }
        // Sometimes at once, sometimes after the host has had a look.
        thread::sleep(Duration::from_millis(build * 7 % 40));
    }
}

#[test]
fn a_source_that_is_rewritten_all_the_time_is_never_mixed() {
    let deploys = length(20, 1000);
    let stage = Stage::start_with(|host| host.env("HHRF_SETTLE_MS", "5"));
    let load = stage.load(8);
    let (written, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    // From the log, which goes on where a process with many libraries hands over to another.
    let deployed = |host: &Running| {
        let log = host.log();
        let serving = log.iter().filter(|line| line.message() == "serving");
        let builds: HashSet<_> = serving.map(|line| line.field("digest")).collect();
        builds.len() as u64
    };
    thread::scope(|scope| {
        scope.spawn(|| rewrite(&stage.f, &stage.builds, &written, &stop));
        stage.until(|stage| deployed(&stage.host) > deploys, "the deploys");
        stop.store(true, Ordering::SeqCst);
    });
    let last = written.load(Ordering::SeqCst);
    stage.until_serving(last);
    let answers = load.stop().assert_flawless();
    say(&format!(
        "{deploys} deploys of a file that was written {last} times: 0 of {answers} answers were mixed"
    ));
}

/// Drops this library into a new folder, and answers with the line that says what came of it.
fn drop_in(stage: &Stage, name: &str, library: &[u8], manifest_keys: &Value) -> LogLine {
    let folder = stage.folder(name);
    folder.create_with(library, manifest_keys);
    // A scan may see the folder before all of its files are there; that line has no duration.
    let outcome = |line: &LogLine| line.field("function") == name && line.0["fields"]["took_ms"].is_number();
    let line = stage.host.wait_for_log(outcome);
    folder.remove();
    line
}

/// What damaged libraries came to.
#[derive(Default)]
struct Damaged {
    refused: usize,
    accepted: usize,
    beyond_probe_ms: Vec<f64>,
}

impl Damaged {
    fn count(&mut self, line: &LogLine) {
        let number = |name: &str| line.0["fields"][name].as_f64().expect("it is logged");
        if line.message() == "serving" {
            self.accepted += 1;
        } else {
            self.refused += 1;
            self.beyond_probe_ms.push(number("took_ms") - number("probe_ms"));
        }
    }
}

#[test]
fn damaged_libraries_by_the_thousand_are_refused_and_the_host_lives() {
    let each = length(30, 2000);
    let stage = Stage::start_with(|host| host.env("HHRF_SETTLE_MS", "5"));
    let load = stage.load(2);
    let rust = std::fs::read(library("fezz-numbered")).expect("read");
    let c = stage.builds.build(1);
    let (mut cut, mut flipped, mut named) = (Damaged::default(), Damaged::default(), Damaged::default());
    // A fixed sequence that looks like chance: a failure can be repeated.
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % below
    };
    for number in 0..each {
        let whole = if number % 2 == 0 { &rust } else { &c };
        let line = drop_in(&stage, &format!("cut-{number}@1.0.0"), &whole[..random(whole.len())], &json!({}));
        assert!(line.message().starts_with("not served: "), "{line:?}");
        cut.count(&line);
        let mut bytes = whole.clone();
        // Where the loader looks: most of a library is code and data, which no loader can judge.
        let reach = if number % 4 < 2 { 4096 } else { bytes.len() };
        bytes[random(reach)] ^= 1 << random(8);
        flipped.count(&drop_in(&stage, &format!("flipped-{number}@1.0.0"), &bytes, &json!({})));
        let keys = json!({ "sha256": digest(whole) });
        let line = drop_in(&stage, &format!("named-{number}@1.0.0"), &bytes, &keys);
        assert!(line.message().starts_with("not served: "), "{line:?}");
        named.count(&line);
    }
    load.stop().assert_flawless();
    stage.assert_build(1);
    let bound = 5_000.0;
    let times = [&cut.beyond_probe_ms, &flipped.beyond_probe_ms, &named.beyond_probe_ms];
    assert!(times.into_iter().flatten().all(|time| *time < bound));
    say(&format!(
        "{} cut libraries, all refused; beyond the probe: {}",
        cut.refused,
        spread(cut.beyond_probe_ms)
    ));
    say(&format!(
        "{} flipped libraries: {} refused, {} loaded all the same; beyond the probe: {}",
        flipped.refused + flipped.accepted,
        flipped.refused,
        flipped.accepted,
        spread(flipped.beyond_probe_ms)
    ));
    say(&format!(
        "{} of the same beside a manifest with `sha256`, all refused; beyond the probe: {}",
        named.refused,
        spread(named.beyond_probe_ms)
    ));
}

/// Takes what no library gives back, and what only one of them can have: thread-locals, a thread-specific key, a lock.
const GREEDY: &str = r#"
#define _GNU_SOURCE
#include "fezz.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
static const volatile struct { char head[16]; char tail[16]; } MARK = {"<head-00000000>", "<tail-00000000>"};
static __thread volatile char local[3000] __attribute__((tls_model("initial-exec"))) = {1};
static char answer[17], path[4200];
static pthread_key_t key;
static int lock = -1;
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT int32_t fezz_init(const FezzHost *host) {
    for (int i = 0; i < 8; i++) {
        answer[i] = MARK.head[6 + i];
        answer[9 + i] = MARK.tail[6 + i];
    }
    answer[8] = '-';
    snprintf(path, sizeof path, "%.*s/lock", (int)host->data_dir.len, (const char *)host->data_dir.ptr);
    if (pthread_key_create(&key, 0) != 0) return 1;
    lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) { close(lock); return 2; }
    return 0;
}
FEZZ_EXPORT void fezz_shutdown(void) { close(lock); }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    local[0] = 2;
    pthread_setspecific(key, answer);
    response->status = 200;
    response->body = fezz_slice((const uint8_t *)answer, sizeof answer);
}
"#;

/// One process has room for the thread-locals of some 85 of them: at full length, several hand over.
#[test]
fn ordered_changes_of_greedy_libraries_fail_no_request() {
    let changes = length(6, 300);
    let folder = tempfile::tempdir().expect("a folder");
    let builds = Numbered::from_library(&c_library(folder.path(), "greedy", GREEDY));
    let stage = Stage::start_with_builds(builds, |host| host.env("HHRF_HAND_OVER_MS", "300"));
    stage.f.write_manifest(&manifest("f@1.0.0", &json!({ "swap": "stop-first" })));
    let load = stage.load(16);
    for number in 2..changes + 2 {
        stage.f.rename_over(&stage.builds.build(number));
        // On new connections: a process that hands over finishes those that it has.
        let build = |host: &Running| Numbered::number(&host.get_anew("/rpc/f@1.0.0").body);
        stage.host.until(build, |build| *build == Some(number));
        load.wait_for_answers(16);
    }
    let answers = load.stop().assert_flawless();
    let hand_overs = stage.host.log().iter().filter(|line| line.message() == "handed over").count();
    say(&format!("{changes} ordered changes, {hand_overs} hand-overs: 0 of {answers} requests failed"));
}
