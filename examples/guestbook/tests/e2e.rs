//! The guestbook on the real host, with a real PostgreSQL.

use std::thread;

use fezz_sdk::testing::{RunningTestHost, TestHost, TestResponse};
use fezz_testkit::{Postgres, Running};
use serde_json::{Value, json};

/// The function's connections, as the server sees them.
const CONNECTIONS: &str =
    "SELECT pid, backend_start FROM pg_stat_activity WHERE application_name = 'guestbook' ORDER BY pid";

/// The number of the function's statements that sleep in the server.
const ASLEEP: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'guestbook' AND wait_event = 'PgSleep'";

/// A host for this database.
fn host(postgres: &Postgres) -> TestHost {
    TestHost::new().host_env("DATABASE_URL", &postgres.url())
}

#[track_caller]
fn sign(running: &RunningTestHost, name: &str) -> TestResponse {
    let entry = json!({ "name": name, "message": "I was here" }).to_string();
    running.request("POST", "/entries", &[("content-type", "application/json")], entry.as_bytes())
}

#[track_caller]
fn names(running: &RunningTestHost) -> Vec<Value> {
    let entries = running.get("/entries").assert_status(200).json();
    entries.as_array().expect("a list").iter().map(|entry| entry["name"].clone()).collect()
}

/// Makes signing as `slow` take a minute in the server.
#[track_caller]
fn make_slow(postgres: &Postgres) {
    postgres.query(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
         CREATE TRIGGER dawdle BEFORE INSERT ON guestbook
             FOR EACH ROW WHEN (NEW.name = 'slow') EXECUTE FUNCTION dawdle()",
    );
}

#[test]
fn entries_are_written_and_read() {
    let postgres = Postgres::start();
    let running = host(&postgres).start();
    assert_eq!(running.get("/entries").assert_status(200).json(), json!([]));
    let entry = sign(&running, "Ann'); DROP TABLE guestbook; --").assert_status(201).json();
    assert_eq!((&entry["id"], &entry["message"]), (&json!(1), &json!("I was here")));
    let written_at = postgres
        .query("SELECT to_char(written_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM guestbook");
    assert_eq!(entry["written_at"], json!(format!("{}Z", written_at.replace(' ', "T"))));
    sign(&running, "Bob").assert_status(201);
    assert_eq!(names(&running), ["Bob", "Ann'); DROP TABLE guestbook; --"]);
    sign(&running, "").assert_problem(422);
}

#[test]
fn the_pool_outlives_evictions() {
    let postgres = Postgres::start();
    let running = host(&postgres)
        .host_env("HHRF_LOG", "hhrf=debug")
        .host_env("HHRF_CACHE_IDLE_MS", "100")
        .host_env("HHRF_CACHE_SWEEP_MS", "10")
        .start();
    let shutdowns = |host: &Running| host.log().iter().filter(|line| line.message() == "shut down").count();
    let host = running.running();
    sign(&running, "Ann").assert_status(201);
    let connections = postgres.query(CONNECTIONS);
    assert!(!connections.is_empty());
    for cold_starts in 2..=4 {
        host.until(shutdowns, |count| *count == cold_starts - 1);
        assert_eq!(names(&running), ["Ann"]);
        assert_eq!(host.status("guestbook@1.0.0")["cold_starts"], cold_starts);
        assert_eq!(postgres.query(CONNECTIONS), connections, "the same connections");
    }
}

#[test]
fn concurrent_first_calls_share_one_pool() {
    let postgres = Postgres::start();
    let running = host(&postgres).start();
    // The table does not exist yet, so the first calls compete to create it.
    thread::scope(|scope| {
        for guest in 0..32 {
            let running = &running;
            scope.spawn(move || {
                for visit in 0..10 {
                    sign(running, &format!("{guest}-{visit}")).assert_status(201);
                    running.get("/entries").assert_status(200);
                }
            });
        }
    });
    assert_eq!(postgres.query("SELECT count(*), count(DISTINCT name) FROM guestbook"), "320|320");
    let connections = postgres.query(CONNECTIONS).lines().count();
    assert!((1..=8).contains(&connections), "{connections} connections");
}

#[test]
fn a_call_cancelled_during_a_statement_does_not_block_the_pool() {
    let postgres = Postgres::start();
    let running = host(&postgres).manifest("timeout_ms", 1000).start();
    sign(&running, "Ann").assert_status(201);
    make_slow(&postgres);
    sign(&running, "slow").assert_problem(504);
    assert_eq!(postgres.query(ASLEEP), "1", "the server does not notice the cancellation");
    assert_eq!(running.running().status("guestbook@1.0.0")["in_flight"], 0, "its permit is free anyway");
    // Other connections are free.
    assert_eq!(names(&running), ["Ann"]);

    // Then all are in use by cancelled calls.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| sign(&running, "slow"));
        }
    });
    // The statements end at their timeout, and free the connections.
    postgres.until(ASLEEP, "0");
    sign(&running, "Bob").assert_status(201);
    assert_eq!(names(&running), ["Bob", "Ann"]);
    assert_eq!(postgres.query("SELECT count(*) FROM guestbook WHERE name = 'slow'"), "0");
}

#[test]
fn a_statement_that_takes_too_long_is_503() {
    let postgres = Postgres::start();
    let running = host(&postgres).start();
    sign(&running, "Ann").assert_status(201);
    make_slow(&postgres);
    sign(&running, "slow").assert_problem(503);
    running.wait_for_log(|line| line.message().contains("statement timeout"));
    sign(&running, "Bob").assert_status(201);
}

#[test]
fn a_restart_of_postgres_is_transparent_and_its_absence_is_503() {
    let mut postgres = Postgres::start();
    let running = host(&postgres).start();
    sign(&running, "Ann").assert_status(201);
    postgres.stop();
    postgres.start_again();
    assert_eq!(names(&running), ["Ann"]);
    postgres.stop();
    running.get("/entries").assert_problem(503);
    postgres.start_again();
    sign(&running, "Bob").assert_status(201);
}

#[test]
fn it_works_in_the_sandbox_with_its_port_alone() {
    let postgres = Postgres::start();
    let isolated = |port: u16| {
        host(&postgres)
            .manifest("isolation", "process")
            .manifest("sandbox", "net")
            .manifest("ports", json!([port]))
            .manifest("workers", json!({ "max": 2 }))
            .manifest("worker_concurrency", 8)
            .start()
    };
    let running = isolated(postgres.port());
    thread::scope(|scope| {
        for guest in 0..16 {
            let running = &running;
            scope.spawn(move || sign(running, &guest.to_string()).assert_status(201).status);
        }
    });
    assert_eq!(names(&running).len(), 16);

    let other_port = isolated(if postgres.port() == 5432 { 5433 } else { 5432 });
    other_port.get("/entries").assert_problem(503);
}
