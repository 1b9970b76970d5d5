//! Warm connections to Redis, and what happens when they break.
//!
//! A connection goes back to the pool once it was answered. One that was not answered is dropped, and all idle ones
//! with it: whatever broke it, a restart of Redis most likely, broke them too. How many are open at once is the host's
//! to limit, by `max_concurrency` in `fezz.json`.
//!
//! After a restart of Redis the pool is full of connections that look alive, because TCP tells only those who write.
//! Two things keep that from the callers:
//!
//! - A connection that was idle for a while must answer a `PING` before it is used.
//! - A command that may be [sent twice](Repeat::Safe) gets a second try on a fresh connection where a pooled one turns
//!   out to be cut. Any other command is answered with an error, since it may have been done before the cut.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{
    Client, Cmd, Connection, ConnectionLike, ErrorKind, FromRedisValue, IntoConnectionInfo, ParsingError,
    RedisError, RedisResult, ServerErrorKind, Value,
};

/// How long to connect, and then how long to wait for each answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that was idle for longer is not trusted without a `PING`.
const TRUSTED: Duration = Duration::from_millis(500);
/// Idle connections that are kept; what a burst opened beyond them is closed after use.
const MAX_IDLE: usize = 16;

/// Why Redis did not do what it was asked to.
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

/// Whether a command may be sent again when it is not known whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is the same as doing it once.
    Safe,
    /// It is not.
    Unsafe,
}

/// A client and its idle connections, the one used last on top.
pub(crate) struct RedisPool {
    client: Client,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl RedisPool {
    /// A pool for this address; nothing is connected yet.
    pub(crate) fn new(url: &str) -> Result<Self, RedisFailure> {
        let client = client(url).map_err(RedisFailure::Url)?;
        Ok(Self { client, idle: Mutex::new(Vec::new()) })
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn query<R: FromRedisValue>(&self, command: &Cmd, repeat: Repeat) -> Result<R, RedisFailure> {
        let value = self.answer(command, repeat)?;
        R::from_redis_value(value).map_err(RedisFailure::Unexpected)
    }

    fn answer(&self, command: &Cmd, repeat: Repeat) -> Result<Value, RedisFailure> {
        let Some(warm) = self.warm() else {
            return self.answer_afresh(command, RedisFailure::Connect);
        };
        match self.answer_on(warm, command) {
            // Not after a timeout: a Redis that is slow would only get more to do.
            Err(error) if repeat == Repeat::Safe && error.is_connection_dropped() => {
                // The first try may have been done, even if Redis is gone by now.
                self.answer_afresh(command, RedisFailure::NoAnswer)
            }
            result => result.map_err(failure),
        }
    }

    fn answer_afresh(
        &self,
        command: &Cmd,
        gone: fn(RedisError) -> RedisFailure,
    ) -> Result<Value, RedisFailure> {
        let connection = self.connect().map_err(gone)?;
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

    /// An idle connection that can be trusted.
    fn warm(&self) -> Option<Connection> {
        let Idle { mut connection, since } = self.idle().pop()?;
        if since.elapsed() < TRUSTED || connection.check_connection() {
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

/// A client whose connections do not begin with two commands that only tell Redis the library's name.
fn client(url: &str) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Client::open(info.set_redis_settings(settings))
}

/// Whether an error is what Redis answered, so that the connection is still good.
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
