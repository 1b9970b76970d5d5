//! The queue of a function: bursts wait, and what cannot wait any longer is refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::Running;
use serde_json::{Value, json};

use super::{ROUTES, async_host, bare, fixture, wait_until};

/// The three ways in which a call is made: their function's name, and the settings that choose them.
fn each(more: &Value, test: impl Fn(&Running, &str)) {
    let host = async_host(more.clone());
    let host = host.function_with("plain@1.0.0", &fixture(), ROUTES, more.clone());
    let mut isolated = more.clone();
    isolated["isolation"] = json!("process");
    isolated["workers"] = json!({ "max": 8 });
    let host = host.function_with("iso@1.0.0", &fixture(), ROUTES, isolated).start();
    for name in ["async@1.0.0", "plain@1.0.0", "iso@1.0.0"] {
        test(&host, name);
    }
}

#[test]
fn a_burst_over_the_limit_is_queued_and_answered_whatever_runs_the_call() {
    each(&json!({ "max_concurrency": 2, "max_queue": 30, "queue_ms": 20_000 }), |host, name| {
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    host.get_anew(&format!("/rpc/{name}/sleep/20")).assert_status(200);
                });
            }
        });
        let (id, version) = name.split_once('@').expect("a name");
        let metrics = host.admin("/metrics");
        let sample = |name: &str| {
            let line = format!("{name}{{function=\"{id}\",version=\"{version}\"}} ");
            let found = metrics.text().lines().find_map(|text| text.strip_prefix(&line));
            found
                .unwrap_or_else(|| panic!("no {line} in {}", metrics.text()))
                .parse::<f64>()
                .expect("a number")
        };
        assert!(sample("fezz_queue_wait_seconds_count") >= 20.0, "{name}");
        assert!(sample("fezz_queue_wait_seconds_sum") > 0.0, "{name}");
        assert!(sample("fezz_queue_length") == 0.0 && sample("fezz_refused_total") == 0.0, "{name}");
    });
}

#[test]
fn a_full_queue_refuses_at_once_and_a_long_wait_after_queue_ms() {
    each(&json!({ "max_concurrency": 1, "max_queue": 1, "queue_ms": 700 }), |host, name| {
        let _busy = begin(host, name, "/sleep/20000");
        wait_until(|| host.status(name)["in_flight"] == 1);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let begin = Instant::now();
                let answer = host.get_anew(&format!("/rpc/{name}/ping"));
                (answer, begin.elapsed())
            });
            wait_until(|| host.status(name)["queued"] == 1);
            let begin = Instant::now();
            let full = host.get_anew(&format!("/rpc/{name}/ping"));
            assert!(begin.elapsed() < Duration::from_millis(600), "{name}: it waited {:?}", begin.elapsed());
            assert!(full.assert_problem(503).text().contains("not made"), "{name}: {}", full.text());
            assert!(retry_after(&full) >= 1, "{name}");
            let (late, took) = waiting.join().expect("answered");
            assert!(late.assert_problem(503).text().contains("not made"), "{name}: {}", late.text());
            assert!(retry_after(&late) >= 1 && took >= Duration::from_millis(700), "{name}: {took:?}");
        });
        assert_eq!(host.status(name)["queued"], 0, "{name}");
    });
}

/// Never beyond the deadline, of which the wait is a part.
#[test]
fn the_deadline_ends_the_wait() {
    let more = json!({ "max_concurrency": 1, "queue_ms": 60_000, "timeout_ms": 1_000 });
    let host = async_host(more).start();
    let busy = begin(&host, "async@1.0.0", "/stream-forever");
    wait_until(|| host.status("async@1.0.0")["in_flight"] == 1);
    host.get_anew("/rpc/async@1.0.0/ping").assert_problem(503);
    drop(busy);
    wait_until(|| host.get_anew("/rpc/async@1.0.0/ping").status == 200);
}

#[test]
fn a_client_that_leaves_gives_up_its_place() {
    each(&json!({ "max_concurrency": 1, "max_queue": 1, "queue_ms": 60_000 }), |host, name| {
        let busy = begin(host, name, "/sleep/60000");
        wait_until(|| host.status(name)["in_flight"] == 1);
        for _ in 0..20 {
            let queued = begin(host, name, "/ping");
            wait_until(|| host.status(name)["queued"] == 1);
            drop(queued);
            wait_until(|| host.status(name)["queued"] == 0);
        }
        drop(busy);
    });
}

/// `Retry-After` tells how long it takes until those that wait have been served, by what calls have taken so far.
#[test]
fn retry_after_is_what_is_to_be_expected() {
    let host = bare()
        .function_with("fix@latest", &fixture(), ROUTES, json!({ "max_concurrency": 1, "max_queue": 1 }))
        .start();
    host.get("/rpc/fix/sleep/2500").assert_status(200);
    let _busy = begin(&host, "fix@latest", "/sleep/5000");
    wait_until(|| host.status("fix@latest")["in_flight"] == 1);
    let _queued = begin(&host, "fix@latest", "/ping");
    wait_until(|| host.status("fix@latest")["queued"] == 1);
    let seconds = retry_after(&host.get_anew("/rpc/fix/ping"));
    assert!((5..=7).contains(&seconds), "two calls of 2.5 s each are to be waited for, not {seconds} s");
}

/// One line for each of them would be a way to flood the log.
#[test]
fn refusals_are_summed_up_in_the_log() {
    let host = bare()
        .function_with("fix@latest", &fixture(), ROUTES, json!({ "max_concurrency": 1, "max_queue": 0 }))
        .start();
    let _busy = begin(&host, "fix@latest", "/sleep/30000");
    wait_until(|| host.status("fix@latest")["in_flight"] == 1);
    for _ in 0..300 {
        host.get("/rpc/fix/ping").assert_problem(503);
    }
    let sum = host.wait_for_log(|line| line.message().contains("more in the last 10 s"));
    assert_eq!((sum.level(), sum.field("function")), ("WARN", "fix@latest"), "{sum:?}");
    assert_eq!(sum.0["fields"]["count"], 299, "{sum:?}");
    let each = host.log().iter().filter(|line| line.0["fields"]["status"] == 503).count();
    assert_eq!(each, 1);
}

fn retry_after(answer: &fezz_testkit::Response) -> u64 {
    answer.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

/// A request that nobody reads the answer of yet.
fn begin(host: &Running, name: &str, path: &str) -> TcpStream {
    let mut client = host.connect();
    write!(client, "GET /rpc/{name}{path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    if path == "/stream-forever" {
        client.read_exact(&mut [0; 1024]).expect("it streams");
    }
    client
}
