//! Functions that crash in every way at once, beside one that must not notice: short in CI, at full length with
//! `just chaos`. What is claimed of time is printed here and written down in docs/isolation.md; only what must hold on
//! any machine is asserted.

mod pressure;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Folder, Host, LogLine, Running, Stage, library};
use rustix::process::Signal;
use serde_json::json;
use ureq::Agent;

const ROUTES: &[(&str, &str)] = &[("GET", "/ping"), ("GET", "/sleep/{ms}"), ("GET", "/fault/{kind}")];
/// Every way of going wrong that costs a worker, or its call.
const FAULTS: [&str; 13] = [
    "segfault",
    "abort",
    "exit",
    "overflow",
    "double-panic",
    "loop",
    "deadlock",
    "stop",
    "memory",
    "descriptors",
    "threads",
    "garbage",
    "mid-response",
];

/// `full` where it was asked for, else `short`.
fn length(short: usize, full: usize) -> usize {
    if std::env::var_os("FEZZ_CHAOS").is_some_and(|value| value == "full") { full } else { short }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .new_agent()
}

/// The status, and how long it took; the error as text.
fn get(agent: &Agent, host: &Running, path: &str) -> Result<(u16, Duration), String> {
    let begin = Instant::now();
    let answer =
        agent.get(format!("http://{}{path}", host.address())).call().map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    answer.into_body().read_to_vec().map_err(|error| error.to_string())?;
    Ok((status, begin.elapsed()))
}

/// The value at this share of them, in milliseconds.
fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a few thousand times"
    )]
    let index = ((times.len() - 1) as f64 * share) as usize;
    times[index].as_secs_f64() * 1e3
}

/// Makes so many calls of the function that behaves, on four connections; all of them must be answered with 200.
fn calls(host: &Running, count: usize) -> Vec<Duration> {
    let times = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let agent = agent();
                for _ in 0..count / 4 {
                    match get(&agent, host, "/rpc/good@1.0.0/ping") {
                        Ok((200, took)) => times.lock().expect("no panic").push(took),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    times.into_inner().expect("no panic")
}

/// The last lines of the log that are about the host itself.
fn not_about_workers(host: &Running) -> Vec<LogLine> {
    // What became of a process is logged after its connections have broken.
    thread::sleep(Duration::from_millis(500));
    let mut lines = host.log();
    lines.retain(|line| {
        line.field("function").is_empty() || line.message().starts_with("the serving process")
    });
    lines.split_off(lines.len().saturating_sub(8))
}

fn isolated(timeout_ms: u64) -> Running {
    let keys = |timeout: u64| {
        json!({ "isolation": "process", "timeout_ms": timeout, "memory_max_bytes": 33_554_432,
                "workers": { "max": 4, "spare": 1 } })
    };
    Host::new()
        .function_with("bad@1.0.0", &library("fezz-faults"), ROUTES, keys(timeout_ms))
        .function_with("good@1.0.0", &library("fezz-faults"), ROUTES, keys(30_000))
        .env("HHRF_WORKER_BACKOFF_MAX_MS", "10")
        .env("HHRF_BREAKER_CRASHES", "1000000")
        .env("HHRF_WORKER_THREADS", "100")
        .start()
}

#[test]
fn twenty_crashes_a_second_fail_no_call_of_another_function() {
    let host = isolated(300);
    let count = length(1_000, 10_000);
    calls(&host, 400);
    let mut alone = calls(&host, count);
    let (stop, faults) = (AtomicBool::new(false), AtomicUsize::new(0));
    let begin = Instant::now();
    let mut beside = thread::scope(|scope| {
        for offset in 0..4 {
            let (host, stop, faults) = (&host, &stop, &faults);
            scope.spawn(move || {
                let agent = agent();
                for kind in FAULTS.iter().cycle().skip(offset * 3) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let next = Instant::now() + Duration::from_millis(200);
                    // Each of its own calls is lost, but answered.
                    let (status, _) = get(&agent, host, &format!("/rpc/bad@1.0.0/fault/{kind}"))
                        .unwrap_or_else(|error| panic!("{kind}: {error}; {:#?}", not_about_workers(host)));
                    assert!([200, 502, 504].contains(&status), "{kind}: {status}");
                    faults.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            });
        }
        let mut beside = calls(&host, count);
        while faults.load(Ordering::Relaxed) < length(40, 400) {
            beside.extend(calls(&host, 100));
        }
        stop.store(true, Ordering::Relaxed);
        beside
    });
    let faults = faults.load(Ordering::Relaxed);
    eprintln!(
        "{} of {} calls answered with 200 beside {faults} faults, {:.0} a second; p99 {:.2} ms, alone {:.2} ms",
        beside.len(),
        beside.len(),
        f64::from(u32::try_from(faults).expect("few")) / begin.elapsed().as_secs_f64(),
        quantile(&mut beside, 0.99),
        quantile(&mut alone, 0.99),
    );
    get(&agent(), &host, "/rpc/bad@1.0.0/ping").expect("it is served again");
}

#[test]
fn a_crash_is_noticed_and_the_next_call_served_at_once() {
    let host = isolated(10_000);
    let agent = agent();
    let (mut noticed, mut served) = (Vec::new(), Vec::new());
    for _ in 0..length(10, 100) {
        assert_eq!(get(&agent, &host, "/rpc/bad@1.0.0/ping").expect("answered").0, 200);
        let (status, took) = get(&agent, &host, "/rpc/bad@1.0.0/fault/segfault").expect("answered");
        assert_eq!(status, 502);
        noticed.push(took);
        let (status, took) = get(&agent, &host, "/rpc/bad@1.0.0/ping").expect("answered");
        assert_eq!(status, 200);
        served.push(took);
    }
    eprintln!(
        "a segfault is answered after p50 {:.2}, max {:.2} ms; the next call after p50 {:.2}, max {:.2} ms",
        quantile(&mut noticed, 0.5),
        quantile(&mut noticed, 1.0),
        quantile(&mut served, 0.5),
        quantile(&mut served, 1.0),
    );
}

#[test]
fn a_call_that_hangs_is_answered_at_its_deadline() {
    let host = isolated(100);
    let agent = agent();
    assert_eq!(get(&agent, &host, "/rpc/bad@1.0.0/ping").expect("answered").0, 200);
    let mut late = Vec::new();
    for kind in ["loop", "deadlock", "stop"].iter().cycle().take(length(10, 100)) {
        let (status, took) = get(&agent, &host, &format!("/rpc/bad@1.0.0/fault/{kind}")).expect("answered");
        assert_eq!(status, 504, "{kind}");
        late.push(took.checked_sub(Duration::from_millis(100)).expect("not before its deadline"));
    }
    eprintln!(
        "504 after the deadline: p50 {:.2}, p99 {:.2}, max {:.2} ms",
        quantile(&mut late, 0.5),
        quantile(&mut late, 0.99),
        quantile(&mut late, 1.0),
    );
}

#[test]
fn segfaults_of_the_serving_process_refuse_no_connection() {
    let host = Host::new()
        .function("bad@1.0.0", &library("fezz-faults"), ROUTES)
        .function("good@1.0.0", &library("fezz-faults"), ROUTES)
        .env("HHRF_QUARANTINE_CRASHES", "1000000")
        .start();
    let (stop, lost) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rounds = length(3, 20);
    let mut recovered = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // A connection of its own for each: those that are there die with the process.
                    match get(&agent(), &host, "/rpc/good@1.0.0/ping") {
                        Ok((200, _)) => {}
                        Err(error) if !error.contains("refused") => _ = lost.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        let mut recovered = Vec::new();
        for round in 1..=rounds {
            let crash = get(&agent(), &host, "/rpc/bad@1.0.0/fault/segfault");
            assert!(crash.is_err(), "{crash:?}");
            let begin = Instant::now();
            while !matches!(get(&agent(), &host, "/rpc/good@1.0.0/ping"), Ok((200, _))) {}
            recovered.push(begin.elapsed());
            let is_named = |host: &Running| {
                let named = |line: &&fezz_testkit::LogLine| {
                    line.message().starts_with("the serving process crashed")
                        && line.field("function") == "bad@1.0.0"
                };
                host.log().iter().filter(named).count()
            };
            host.until(is_named, |count| *count == round);
        }
        stop.store(true, Ordering::Relaxed);
        recovered
    });
    eprintln!(
        "{rounds} segfaults in the serving process: next 200 after p50 {:.1}, max {:.1} ms; no connection refused, {} calls lost with their process",
        quantile(&mut recovered, 0.5),
        quantile(&mut recovered, 1.0),
        lost.load(Ordering::Relaxed),
    );
}

#[test]
fn a_broken_folder_serves_on_over_hand_overs_under_load() {
    let stage = Stage::start();
    let load = stage.load(8);
    let good = stage.builds.build(1);
    let breaks: [fn(&Folder, &[u8]); 4] = [
        |folder, _| folder.write_manifest("{"),
        |folder, good| folder.overwrite(&good[..good.len() / 2]),
        |folder, _| std::fs::remove_file(folder.library()).expect("removed"),
        |folder, _| {
            folder.remove();
            std::fs::create_dir(folder.path()).expect("made");
        },
    ];
    for (round, break_it) in breaks.iter().cycle().take(length(4, 40)).enumerate() {
        break_it(&stage.f, &good);
        stage.host.signal(Signal::HUP);
        let count = |host: &Running| host.log().iter().filter(|line| line.message() == "handed over").count();
        stage.host.until(count, |count| *count > round);
        stage.until_state("f@1.0.0", "serving_previous");
        load.wait_for_answers(100);
        stage.f.remove();
        stage.f.create(&good);
        stage.until_state("f@1.0.0", "serving");
    }
    load.stop().assert_flawless();
}
