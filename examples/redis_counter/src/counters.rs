//! The operations on counters: one Redis command each.

use redis::Cmd;

use crate::redis_pool::{RedisFailure, RedisPool, Repeat};

/// The prefix of all keys, as a namespace in a shared Redis.
const PREFIX: &str = "redis_counter:";

/// Counters by their names.
pub(crate) struct Counters(RedisPool);

impl Counters {
    pub(crate) const fn new(pool: RedisPool) -> Self {
        Self(pool)
    }

    /// The value of a counter; 0 if it does not exist.
    pub(crate) fn get(&self, name: &str) -> Result<i64, RedisFailure> {
        let value: Option<i64> = self.0.query(&Cmd::get(key(name)), Repeat::Safe)?;
        Ok(value.unwrap_or_default())
    }

    /// Adds to a counter, and returns its new value. Not idempotent.
    pub(crate) fn add(&self, name: &str, by: i64) -> Result<i64, RedisFailure> {
        self.0.query(&Cmd::incr(key(name), by), Repeat::Unsafe)
    }

    /// Removes a counter. Idempotent: the result does not say whether it existed.
    pub(crate) fn delete(&self, name: &str) -> Result<(), RedisFailure> {
        self.0.query(&Cmd::del(key(name)), Repeat::Safe)
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}
