//! The counters themselves: one Redis command each.

use redis::Cmd;

use crate::redis_pool::{RedisFailure, RedisPool, Repeat};

/// Stands before each name, so that a shared Redis shows whose keys these are.
const PREFIX: &str = "redis_counter:";

/// Counters by their names.
pub(crate) struct Counters(RedisPool);

impl Counters {
    pub(crate) const fn new(pool: RedisPool) -> Self {
        Self(pool)
    }

    /// The value of a counter; 0 where there is none yet.
    pub(crate) fn get(&self, name: &str) -> Result<i64, RedisFailure> {
        let value: Option<i64> = self.0.query(&Cmd::get(key(name)), Repeat::Safe)?;
        Ok(value.unwrap_or_default())
    }

    /// Adds to a counter, and answers with its new value. Sent twice it would count twice.
    pub(crate) fn add(&self, name: &str, by: i64) -> Result<i64, RedisFailure> {
        self.0.query(&Cmd::incr(key(name), by), Repeat::Unsafe)
    }

    /// Removes a counter. Nobody learns whether there was one, so that it can be sent twice.
    pub(crate) fn delete(&self, name: &str) -> Result<(), RedisFailure> {
        self.0.query(&Cmd::del(key(name)), Repeat::Safe)
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}
