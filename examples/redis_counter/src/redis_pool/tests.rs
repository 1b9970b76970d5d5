//! Tests of the pool on a real Redis that is stopped, restarted and paused.

use std::thread;

use super::*;

#[path = "../../tests/redis_server/mod.rs"]
mod redis_server;
use redis_server::RedisServer;

fn pool(redis: &RedisServer) -> RedisPool {
    RedisPool::new(&redis.url()).unwrap()
}

fn get(pool: &RedisPool) -> Result<Option<i64>, RedisFailure> {
    pool.query(&Cmd::get("n"), Repeat::Safe)
}

fn incr(pool: &RedisPool) -> Result<i64, RedisFailure> {
    pool.query(&Cmd::incr("n", 1), Repeat::Unsafe)
}

#[test]
fn an_error_response_keeps_the_connection() {
    let redis = RedisServer::start();
    let pool = pool(&redis);
    let set: String = pool.query(&Cmd::set("n", "text"), Repeat::Safe).unwrap();
    assert_eq!(set, "OK");
    assert!(matches!(get(&pool), Err(RedisFailure::Unexpected(_))));
    assert!(matches!(incr(&pool), Err(RedisFailure::Refused(_))));
    assert_eq!(pool.idle().len(), 1);
}

#[test]
fn threads_share_the_connections() {
    let redis = RedisServer::start();
    let pool = pool(&redis);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..100).for_each(|_| assert!(incr(&pool).is_ok())));
        }
    });
    assert_eq!(get(&pool).unwrap(), Some(800));
    assert!((1..=8).contains(&pool.idle().len()));
}

#[test]
fn a_safe_command_does_not_notice_a_restart() {
    let mut redis = RedisServer::start();
    let pool = pool(&redis);
    incr(&pool).unwrap();
    redis.restart();
    skip_check(&pool);
    assert_eq!(get(&pool).unwrap(), None);
    assert_eq!(incr(&pool).unwrap(), 1);
}

#[test]
fn an_unsafe_command_does_not_notice_a_restart_after_an_idle_time() {
    let mut redis = RedisServer::start();
    let pool = pool(&redis);
    incr(&pool).unwrap();
    redis.restart();
    thread::sleep(CHECK_AFTER);
    assert_eq!(incr(&pool).unwrap(), 1);
}

#[test]
fn an_unsafe_command_on_a_closed_connection_fails_once() {
    let mut redis = RedisServer::start();
    let pool = pool(&redis);
    incr(&pool).unwrap();
    redis.restart();
    skip_check(&pool);
    assert!(matches!(incr(&pool), Err(RedisFailure::NoAnswer(_))));
    assert_eq!(incr(&pool).unwrap(), 1);
}

#[test]
fn a_redis_that_is_down_is_an_error_at_once() {
    let mut redis = RedisServer::start();
    let pool = pool(&redis);
    incr(&pool).unwrap();
    redis.stop();
    skip_check(&pool);
    let started = Instant::now();
    assert!(matches!(get(&pool), Err(RedisFailure::NoAnswer(_))), "it may have been executed");
    assert!(matches!(get(&pool), Err(RedisFailure::Connect(_))), "it was never sent");
    assert!(started.elapsed() < TIMEOUT);
}

#[test]
fn a_redis_that_hangs_is_an_error_in_time() {
    let redis = RedisServer::start();
    let pool = pool(&redis);
    incr(&pool).unwrap();
    redis.pause();
    skip_check(&pool);
    let started = Instant::now();
    let on_pooled = get(&pool);
    assert!(matches!(on_pooled, Err(RedisFailure::NoAnswer(_))), "{on_pooled:?}");
    let on_new = get(&pool);
    assert!(matches!(on_new, Err(RedisFailure::NoAnswer(_))), "{on_new:?}");
    assert!(started.elapsed() < 3 * TIMEOUT, "{:?}", started.elapsed());
    redis.resume();
    assert_eq!(incr(&pool).unwrap(), 2, "a late response is not mistaken for this one");
}

#[test]
fn an_invalid_url_is_an_error() {
    assert!(matches!(RedisPool::new("not a url"), Err(RedisFailure::Url(_))));
    assert!(matches!(RedisPool::new("http://127.0.0.1/"), Err(RedisFailure::Url(_))));
}

/// Resets the idle time of all connections, so that they are used without a `PING`.
fn skip_check(pool: &RedisPool) {
    pool.idle().iter_mut().for_each(|idle| idle.since = Instant::now());
}
