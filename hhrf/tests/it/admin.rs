//! What the admin listener shows, and to whom.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use fezz_testkit::{Host, Running, c_library};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{ROUTES, fixture, host, running};

#[test]
fn a_host_that_serves_is_alive_and_ready() {
    let host = running();
    host.admin("/livez").assert_status(200);
    let ready = host.admin("/readyz");
    assert_eq!(ready.assert_status(200).header("cache-control"), Some("no-store"));
    assert_eq!(host.admin("/nothing").status, 404);
    // It shows things, and changes nothing.
    let mut stream = TcpStream::connect(host.admin_address()).expect("accepted");
    stream
        .write_all(b"POST /functions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn before_the_first_scan_it_is_not_ready() {
    let hanging = Host::new().env("HHRF_PROBE_TIMEOUT_MS", "60000");
    let library = c_library(
        hanging.root(),
        "hang",
        r#"
        #include "fezz.h"
        #include <unistd.h>
        __attribute__((constructor)) static void hang(void) { for (;;) pause(); }
        FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
        FEZZ_EXPORT void fezz_fetch(const FezzRequest *q, FezzResponse *s) { (void)q; s->status = 200; }
        "#,
    );
    let host = hanging.function("hang@1.0.0", &library, &[("GET", "/")]);
    let mut child = host.command().stderr(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| {
        let line: Value = serde_json::from_str(&line).ok()?;
        (line["fields"]["message"] == "admin listening")
            .then(|| line["fields"]["address"].as_str().map(str::to_owned))?
    });
    let get = |path: &str| {
        let mut stream = TcpStream::connect(address.as_deref().expect("it listens")).expect("accepted");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    };
    let (alive, ready) = (get("/livez"), get("/readyz"));
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(alive.starts_with("HTTP/1.1 200 "), "{alive}");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
}

#[test]
fn a_host_that_drains_is_not_ready_and_serves_on_for_a_moment() {
    let mut host = host().env("HHRF_DRAIN_DELAY_MS", "3000").start();
    host.get("/rpc/fix/ping").assert_status(200);
    host.signal(Signal::TERM);
    host.until(|host| host.admin("/readyz").status.as_u16(), |status| *status == 503);
    host.admin("/livez").assert_status(200);
    host.get("/rpc/fix/ping").assert_status(200);
    // Who does not want to wait says so again.
    host.signal(Signal::TERM);
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn functions_shows_what_serves_and_what_became_of_it() {
    let host = host()
        .function_with("slow@1.0.0", &fixture(), ROUTES, json!({ "timeout_ms": 50 }))
        .function("fix@3.0.0", &fixture(), &[("GET", "/ping"), ("POST", "/echo")])
        .start();
    let idle = host.status("fix@3.0.0");
    assert_eq!(idle["library"], "idle", "{idle}");
    assert_eq!(idle["routes"][1], json!({ "path": "/echo", "methods": ["POST"] }), "{idle}");
    assert_eq!(idle["digest"].as_str().map(str::len), Some(64), "{idle}");
    assert!(idle["last_deploy"].as_str().is_some_and(|at| at.ends_with('Z')), "{idle}");

    for _ in 0..3 {
        host.get("/rpc/fix@latest/ping").assert_status(200);
    }
    host.get("/rpc/fix@latest/panic").assert_problem(500);
    host.get("/rpc/fix@latest/bad-header").assert_problem(500);
    host.get("/rpc/slow@1.0.0/sleep/400").assert_problem(504);
    let fix = host.status("fix@latest");
    let count = |name: &str| fix[name].as_u64();
    assert_eq!(
        (count("calls"), count("errors"), count("panics"), count("in_flight"), count("cold_starts")),
        (Some(5), Some(2), Some(1), Some(0), Some(1)),
        "{fix}"
    );
    assert_eq!((&fix["library"], &fix["state"]), (&json!("loaded"), &json!("serving")), "{fix}");
    let slow = host.status("slow@1.0.0");
    assert_eq!(slow["timeouts"], 1, "{slow}");
    // The call goes on, and is in flight until it returns.
    host.until(|host| host.status("slow@1.0.0")["in_flight"].clone(), |in_flight| *in_flight == 0);
}

/// The value of a sample, by its name and labels in any order.
fn sample(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    metrics.lines().find_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let rest = series.strip_prefix(name)?;
        let is_it = rest.starts_with('{') || rest.is_empty();
        let has = |(name, value): &(&str, &str)| rest.contains(&format!("{name}=\"{value}\""));
        (is_it && labels.iter().all(has)).then(|| value.parse().ok())?
    })
}

#[track_caller]
fn assert_sample(metrics: &str, name: &str, labels: &[(&str, &str)], expected: f64) {
    let found = sample(metrics, name, labels);
    assert_eq!(found, Some(expected), "{name} {labels:?} in {metrics}");
}

#[test]
fn metrics_are_counted_by_function_route_and_status() {
    let host = host().function_with("slow@1.0.0", &fixture(), ROUTES, json!({ "timeout_ms": 50 })).start();
    for (path, times) in [("/describe/1/x", 2), ("/describe/2/y/z", 1), ("/nothing", 1)] {
        for _ in 0..times {
            host.get(&format!("/rpc/fix@latest{path}"));
        }
    }
    host.request("POST", "/rpc/fix@latest/echo", &[], b"body").assert_status(200);
    host.get("/rpc/fix@latest/panic").assert_problem(500);
    host.get("/rpc/slow@1.0.0/sleep/400").assert_problem(504);
    host.get("/rpc/unknown").assert_problem(404);
    let metrics = host.admin("/metrics");
    assert!(metrics.header("content-type").is_some_and(|kind| kind.contains("text")), "{metrics:?}");
    let metrics = metrics.text();

    let requests = "http_server_request_duration_seconds_count";
    let fix = [("function", "fix"), ("version", "latest")];
    let route = |method, route, status| {
        [&fix[..], &[("method", method), ("route", route), ("status", status)]].concat()
    };
    assert_sample(metrics, requests, &route("GET", "/describe/{a}/{*rest}", "200"), 3.0);
    assert_sample(metrics, requests, &route("POST", "/echo", "200"), 1.0);
    assert_sample(metrics, requests, &route("GET", "/panic", "500"), 1.0);
    // Neither the path of a request without a route nor the name of an unknown function is a label: clients make them up.
    assert_sample(metrics, requests, &[("method", "GET"), ("status", "404"), ("function", "")], 2.0);
    assert_sample(metrics, "faas_invoke_duration_seconds_count", &fix, 5.0);
    assert_sample(metrics, "faas_coldstarts_total", &fix, 1.0);
    assert_sample(metrics, "faas_errors_total", &fix, 1.0);
    assert_sample(metrics, "faas_timeouts_total", &[("function", "slow"), ("version", "1.0.0")], 1.0);
    assert_sample(metrics, "faas_in_flight", &fix, 0.0);
    assert_sample(metrics, "fezz_functions_loaded", &[], 2.0);
    assert_sample(metrics, "fezz_libraries_mapped", &[], 2.0);
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}

#[track_caller]
fn admin_status(host: &Running, headers: &str) -> u16 {
    let mut stream = TcpStream::connect(host.admin_address()).expect("accepted");
    write!(stream, "GET /functions HTTP/1.1\r\n{headers}connection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_foreign_host_or_origin_is_misdirected() {
    let host = running();
    let port = host.admin_address().port();
    assert_eq!(admin_status(&host, &format!("host: 127.0.0.1:{port}\r\n")), 200);
    assert_eq!(admin_status(&host, "host: localhost\r\norigin: http://localhost:9000\r\n"), 200);
    assert_eq!(admin_status(&host, "host: attacker.example\r\n"), 421);
    assert_eq!(admin_status(&host, &format!("host: attacker.example:{port}\r\n")), 421);
    assert_eq!(admin_status(&host, "host: localhost\r\norigin: https://attacker.example\r\n"), 421);
    assert_eq!(admin_status(&host, "host: localhost\r\norigin: null\r\n"), 421);
    assert_eq!(admin_status(&host, ""), 400);
}

#[test]
fn it_can_be_turned_off() {
    let host = host().arg("--admin").arg("off").start();
    host.get("/rpc/fix/ping").assert_status(200);
    assert!(!host.log().iter().any(|line| line.message() == "admin listening"));
}
