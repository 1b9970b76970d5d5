//! A connection pool for Redis that recovers from broken connections.
//!
//! A connection returns to the pool after a response. After a broken connection all idle ones are dropped too, since
//! they were most likely broken by the same restart of Redis. The number of open connections is limited by
//! `max_concurrency` in `fezz.json`.
//!
//! After a restart of Redis the pooled connections look alive, since a closed TCP connection is noticed at its next use
//! only. Two measures hide that from callers:
//!
//! - A connection that was idle for a while must answer a `PING` before it is used.
//! - An [idempotent](Repeat::Safe) command is retried on a new connection if a pooled one was closed. Any other command
//!   fails, since Redis may have executed it before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{
    Client, Cmd, Connection, ConnectionLike, ErrorKind, FromRedisValue, IntoConnectionInfo, ParsingError,
    RedisError, RedisResult, ServerErrorKind, Value,
};

/// Timeout for connecting, and for each response.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that was idle for longer is checked with a `PING`.
const CHECK_AFTER: Duration = Duration::from_millis(500);
/// Maximum number of idle connections; further ones are closed after use.
const MAX_IDLE: usize = 16;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedisFailure {
    #[error("the variable REDIS_URL is not the address of a Redis server: {0}")]
    Url(#[source] RedisError),
    #[error("Redis cannot be reached: {0}")]
    Connect(#[source] RedisError),
    #[error("Redis has not answered: {0}")]
    NoAnswer(#[source] RedisError),
    #[error("Redis is not ready: {0}")]
    NotReady(#[source] RedisError),
    #[error("Redis has refused the command: {0}")]
    Refused(#[source] RedisError),
    #[error("Redis has answered with something else than was asked for: {0}")]
    Unexpected(#[source] ParsingError),
}

/// Whether a command may be retried if it is unknown whether Redis has executed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The command is idempotent.
    Safe,
    /// The command is not idempotent.
    Unsafe,
}

/// A client and its idle connections, a stack with the last used on top.
pub(crate) struct RedisPool {
    client: Client,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl RedisPool {
    /// A pool for this URL, without connections.
    pub(crate) fn new(url: &str) -> Result<Self, RedisFailure> {
        let client = client(url).map_err(RedisFailure::Url)?;
        Ok(Self { client, idle: Mutex::new(Vec::new()) })
    }

    /// Sends a command and waits for its response.
    pub(crate) fn query<R: FromRedisValue>(&self, command: &Cmd, repeat: Repeat) -> Result<R, RedisFailure> {
        let value = self.answer(command, repeat)?;
        R::from_redis_value(value).map_err(RedisFailure::Unexpected)
    }

    fn answer(&self, command: &Cmd, repeat: Repeat) -> Result<Value, RedisFailure> {
        let Some(pooled) = self.pooled() else {
            return self.answer_on_new(command, RedisFailure::Connect);
        };
        match self.answer_on(pooled, command) {
            // Not after a timeout: that would add load to a slow Redis.
            Err(error) if repeat == Repeat::Safe && error.is_connection_dropped() => {
                // Redis may have executed the first attempt, even if it is down now.
                self.answer_on_new(command, RedisFailure::NoAnswer)
            }
            result => result.map_err(failure),
        }
    }

    fn answer_on_new(
        &self,
        command: &Cmd,
        connect_failure: fn(RedisError) -> RedisFailure,
    ) -> Result<Value, RedisFailure> {
        let connection = self.connect().map_err(connect_failure)?;
        self.answer_on(connection, command).map_err(failure)
    }

    fn answer_on(&self, mut connection: Connection, command: &Cmd) -> RedisResult<Value> {
        let result = command.query(&mut connection);
        let mut idle = self.idle();
        match &result {
            Err(error) if !is_answer(error) => idle.clear(),
            _ if idle.len() < MAX_IDLE => idle.push(Idle { connection, since: Instant::now() }),
            _ => {}
        }
        result
    }

    /// A working idle connection.
    fn pooled(&self) -> Option<Connection> {
        let Idle { mut connection, since } = self.idle().pop()?;
        if since.elapsed() < CHECK_AFTER || connection.check_connection() {
            return Some(connection);
        }
        self.idle().clear();
        None
    }

    fn connect(&self) -> RedisResult<Connection> {
        let connection = self.client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client whose connections skip the `CLIENT SETINFO` commands, which only tell Redis the library's name.
fn client(url: &str) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Client::open(info.set_redis_settings(settings))
}

/// Whether an error is a response of Redis, so that the connection is still usable.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

fn failure(error: RedisError) -> RedisFailure {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain) => {
            RedisFailure::NotReady(error)
        }
        _ if is_answer(&error) => RedisFailure::Refused(error),
        _ => RedisFailure::NoAnswer(error),
    }
}

#[cfg(test)]
mod tests;
