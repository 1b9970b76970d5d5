//! A tokio-postgres client in a static, against a real PostgreSQL: evictions, many calls at once, deadlines, workers.

use std::thread;

use fezz_testkit::{Host, Postgres, Running, library};
use serde_json::{Value, json};

const ROUTES: &[(&str, &str)] = &[("GET", "/double/{number}"), ("GET", "/sleep/{seconds}")];

/// A host with the function as `pg@1.0.0`, for this database; not started.
fn host(postgres: &Postgres, mut more: Value) -> Host {
    more["env"] = json!({ "DATABASE_URL": postgres.url() });
    Host::new().function_with("pg@1.0.0", &library("fezz-fixture-postgres"), ROUTES, more)
}

/// Doubles a number in the database, and answers with the server's process that did it.
#[track_caller]
fn double(host: &Running, number: i64) -> String {
    let answer = host.get(&format!("/rpc/pg@1.0.0/double/{number}"));
    let (pid, doubled) = answer.assert_status(200).text().split_once(' ').expect("two numbers");
    assert_eq!(doubled, (2 * number).to_string());
    pid.to_owned()
}

#[test]
fn a_client_of_tokio_postgres_outlives_evictions() {
    let postgres = Postgres::start();
    let host = host(&postgres, json!({}))
        .env("HHRF_LOG", "hhrf=debug")
        .env("HHRF_CACHE_IDLE_MS", "100")
        .env("HHRF_CACHE_SWEEP_MS", "10")
        .start();
    let shutdowns = |host: &Running| host.log().iter().filter(|line| line.message() == "shut down").count();
    let backend = double(&host, 1);
    for cold_starts in 2..=4 {
        host.until(shutdowns, |count| *count == cold_starts - 1);
        assert_eq!(double(&host, 21), backend, "the very same connection");
        assert_eq!(host.status("pg@1.0.0")["cold_starts"], cold_starts);
    }
}

#[test]
fn many_calls_share_a_client_of_tokio_postgres() {
    let postgres = Postgres::start();
    let host = host(&postgres, json!({})).start();
    let backend = double(&host, 0);
    thread::scope(|scope| {
        for client in 0..32 {
            let (host, backend) = (&host, &backend);
            scope.spawn(move || {
                for number in 0..20 {
                    assert_eq!(&double(host, client * 100 + number), backend);
                }
            });
        }
    });
}

#[test]
fn a_deadline_in_mid_query_cancels_it_on_the_server_too() {
    let postgres = Postgres::start();
    let host = host(&postgres, json!({ "timeout_ms": 1000, "max_concurrency": 1 })).start();
    let backend = double(&host, 1);
    for _ in 0..3 {
        host.get("/rpc/pg@1.0.0/sleep/60").assert_problem(504);
        // The next call waits behind it on the same connection, and would for a minute.
        assert_eq!(double(&host, 21), backend);
    }
    assert_eq!(host.status("pg@1.0.0")["timeouts"], 3);
    host.get("/rpc/pg@1.0.0/sleep/0.1").assert_status(200).assert_text("slept");
}

#[test]
fn tokio_postgres_works_in_a_sandbox_with_its_port() {
    let postgres = Postgres::start();
    let more = json!({
        "isolation": "process", "sandbox": "net", "ports": [postgres.port()],
        "workers": { "min": 1, "max": 1 }, "worker_concurrency": 4, "timeout_ms": 3000,
    });
    let host = host(&postgres, more).start();
    let backend = double(&host, 1);
    assert_eq!(double(&host, 2), backend, "the worker keeps its client");
    // A worker is killed at the deadline, and its connection is gone with it: the next one makes its own.
    host.get("/rpc/pg@1.0.0/sleep/60").assert_problem(504);
    assert_ne!(double(&host, 3), backend);
}
