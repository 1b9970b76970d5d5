//! The counters on the real host, with a real Redis that is stopped, restarted and paused.

mod redis_server;

use std::thread;
use std::time::{Duration, Instant};

use fezz_sdk::testing::{RunningTestHost, TestHost, TestResponse};
use redis_server::RedisServer;
use serde_json::json;

/// A host that serves the function as its `fezz.json` says, for this Redis.
#[track_caller]
fn start(redis_url: &str) -> RunningTestHost {
    TestHost::new().variable("REDIS_URL", redis_url).start()
}

#[track_caller]
fn request(running: &RunningTestHost, method: &str, path: &str) -> TestResponse {
    running.request(method, &format!("/counters/{path}"), &[], b"")
}

#[track_caller]
fn value(response: &TestResponse) -> i64 {
    response.assert_status(200).json()["value"].as_i64().expect("a whole number")
}

#[test]
fn a_counter_is_incremented_read_and_deleted() {
    let redis = RedisServer::start();
    let running = start(&redis.url());
    assert_eq!(request(&running, "GET", "hits").json(), json!({ "name": "hits", "value": 0 }));
    assert_eq!(value(&request(&running, "POST", "hits/incr")), 1);
    assert_eq!(value(&request(&running, "POST", "hits/incr?by=41")), 42);
    assert_eq!(value(&request(&running, "POST", "other/incr?by=-2")), -2);
    assert_eq!(value(&request(&running, "GET", "hits")), 42);
    request(&running, "DELETE", "hits").assert_status(204).assert_text("");
    request(&running, "DELETE", "hits").assert_status(204);
    assert_eq!(value(&request(&running, "GET", "hits")), 0);
}

#[test]
fn invalid_requests_are_refused() {
    let redis = RedisServer::start();
    let running = start(&redis.url());
    request(&running, "GET", "a%20b").assert_problem(400);
    request(&running, "POST", "hits/incr?by=much").assert_problem(400);
    request(&running, "POST", "hits/incr?step=2").assert_problem(400);
    assert_eq!(value(&request(&running, "POST", &format!("hits/incr?by={}", i64::MAX))), i64::MAX);
    request(&running, "POST", "hits/incr").assert_problem(409);
    assert_eq!(value(&request(&running, "GET", "hits")), i64::MAX);
}

#[test]
fn concurrent_increments_are_not_lost() {
    let redis = RedisServer::start();
    let running = start(&redis.url());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    request(&running, "POST", "hits/incr").assert_status(200);
                }
            });
        }
    });
    assert_eq!(value(&request(&running, "GET", "hits")), 800);
}

#[test]
fn a_restart_of_redis_is_transparent() {
    let mut redis = RedisServer::start();
    let running = start(&redis.url());
    assert_eq!(value(&request(&running, "POST", "hits/incr")), 1);
    redis.restart();
    assert_eq!(value(&request(&running, "GET", "hits")), 0, "retried on the new Redis");
    assert_eq!(value(&request(&running, "POST", "hits/incr")), 1);
}

#[test]
fn while_redis_is_down_the_answer_is_503() {
    let mut redis = RedisServer::start();
    let running = start(&redis.url());
    assert_eq!(value(&request(&running, "POST", "hits/incr")), 1);
    redis.stop();
    for (method, path) in [("GET", "hits"), ("POST", "hits/incr"), ("DELETE", "hits")] {
        let response = request(&running, method, path);
        response.assert_problem(503);
        assert_eq!(response.header("retry-after"), Some("1"));
    }
    running.wait_for_log(|line| line.message().contains("Redis"));
    redis.restart();
    assert_eq!(value(&request(&running, "POST", "hits/incr")), 1, "the host and the function still work");
}

#[test]
fn while_redis_hangs_the_answer_is_503_in_time() {
    let redis = RedisServer::start();
    let running = start(&redis.url());
    assert_eq!(value(&request(&running, "POST", "hits/incr")), 1);
    redis.pause();
    let asked = Instant::now();
    request(&running, "GET", "hits").assert_problem(503);
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    redis.resume();
    assert_eq!(value(&request(&running, "GET", "hits")), 1);
}

#[test]
fn an_unreachable_redis_is_503_and_an_invalid_url_500() {
    let mut redis = RedisServer::start();
    redis.stop();
    request(&start(&redis.url()), "GET", "hits").assert_problem(503);
    request(&start("nonsense"), "GET", "hits").assert_problem(500);
}
