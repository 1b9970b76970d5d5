//! Applications that install subscribers, loggers and panic hooks of their own.

use std::fs;

use fezz_testkit::{Host, LogLine, Running, library};
use serde_json::{Value, json};

use crate::environment::ANY;

/// A host whose log has what functions print to standard output, too.
fn host(isolation: &str, env: &Value) -> Host {
    Host::new()
        .function_with("app@1.0.0", &library("fezz-fixture-application"), ANY, json!({ "env": env }))
        .env("HHRF_ISOLATION", isolation)
        .env("HHRF_WORKERS_MAX", "1")
        .after("exec 1>&2")
}

/// The line with this in it, in whatever form.
fn line(host: &Running, text: &str) -> LogLine {
    host.wait_for_log(|line| line.0.to_string().contains(text))
}

fn call(host: &Running, path: &str, status: u16) {
    host.get(&format!("/rpc/app@1.0.0/{path}")).assert_status(status);
}

fn says_so(line: &LogLine) -> bool {
    line.message().contains("has installed its own subscriber or logger")
}

/// Whether a line is a record of the function, and not something that was printed.
fn is_record(line: &LogLine, text: &str) -> bool {
    line.message() == text && line.field("function") == "app@1.0.0" && line.field("stream").is_empty()
}

#[test]
fn without_its_own_everything_is_in_the_hosts_log() {
    for way in ["none", "process"] {
        let host = host(way, &json!({})).start();
        call(&host, "log", 200);
        for text in [
            "an event in a call",
            "a record in a call",
            "an event in init",
            "an event before",
            "from a task of the set-up",
        ] {
            host.wait_for_log(|line| is_record(line, text));
        }
        assert!(!host.log().iter().any(says_so), "{way}");
    }
}

#[test]
fn an_applications_own_loggers_get_what_is_logged() {
    for way in ["none", "process"] {
        for (install, events, records) in [
            ("fmt", false, false),
            ("global", false, true),
            ("env_logger", true, false),
            ("simple_logger", true, false),
            ("env_logger global", false, false),
        ] {
            for variable in ["LOGGERS", "INIT_LOGGERS"] {
                let host = host(way, &json!({ variable: install, "RUST_LOG": "info" })).start();
                call(&host, "log", 200);
                line(&host, "an event in a call");
                line(&host, "a record in a call");
                host.wait_for_log(says_so);
                let log = host.log();
                let has = |text: &str| log.iter().any(|line| is_record(line, text));
                let found = (has("an event in a call"), has("a record in a call"));
                assert_eq!(found, (events, records), "{way} {variable}={install} {log:#?}");
                assert_eq!(log.iter().filter(|line| says_so(line)).count(), 1, "{way} {variable}={install}");
                // What was logged before is not lost.
                assert!(has("an event in init"), "{way} {variable}={install} {log:#?}");
            }
        }
    }
}

#[test]
fn the_hosts_can_be_installed_at_the_start_of_the_set_up() {
    let host = host("none", &json!({ "LOGGERS": "host" })).start();
    call(&host, "log", 200);
    host.wait_for_log(|line| is_record(line, "a record set up"));
    host.wait_for_log(|line| is_record(line, "an event set up"));
    assert!(!host.log().iter().any(says_so));
}

#[test]
fn they_outlive_an_eviction() {
    for env in [json!({ "LOGGERS": "fmt color_eyre" }), json!({ "INIT_LOGGERS": "fmt color_eyre" })] {
        let host = host("none", &env)
            .env("HHRF_LOG", "info,hhrf=debug")
            .env("HHRF_CACHE_IDLE_MS", "200")
            .env("HHRF_CACHE_SWEEP_MS", "20")
            .start();
        let shutdowns =
            |host: &Running| host.log().iter().filter(|line| line.message() == "shut down").count();
        for loads in 1..=3 {
            call(&host, "log", 200);
            host.until(shutdowns, |count| *count == loads);
            assert_eq!(host.status("app@1.0.0")["cold_starts"], loads, "{env}");
        }
        assert_eq!(host.log().iter().filter(|line| says_so(line)).count(), 1, "{env}");
    }
}

/// The next attempt finds the subscriber of the one before in place.
#[test]
fn a_set_up_that_fails_after_them_is_tried_again() {
    let host = host("none", &json!({ "LOGGERS": "fmt" }));
    let folder = host.root().join(".fezz/data/app");
    fs::create_dir_all(&folder).expect("created");
    fs::write(folder.join("down"), "").expect("written");
    let host = host.start();
    host.get("/rpc/app@1.0.0/log").assert_problem(503);
    line(&host, "the database is down");
    fs::remove_file(folder.join("down")).expect("removed");
    host.until(|host| host.get("/rpc/app@1.0.0/log").status.as_u16(), |status| *status == 200);
    line(&host, "an event in a call");
}

#[test]
fn an_applications_panic_hook_is_called_and_the_panic_caught() {
    for way in ["none", "process"] {
        for install in ["hook", "chained_hook"] {
            let host = host(way, &json!({ "LOGGERS": install })).start();
            call(&host, "panic", 500);
            line(&host, "the application's hook: ");
            let logged = host.wait_for_log(|line| line.0.to_string().contains("in a handler (at "));
            assert!(logged.0.to_string().contains("app@1.0.0"), "{logged:?}");
            call(&host, "task-panic", 200);
            host.wait_for_log(|line| line.message().starts_with("a thread panicked: in a task (at "));
            let panics = |line: &&LogLine| line.message().starts_with("a thread panicked");
            assert_eq!(host.log().iter().filter(panics).count(), 1, "{way} {install}");
        }
    }
}
