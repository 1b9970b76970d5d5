//! A small connection pool: a maximum size, connections opened on demand and kept for reuse.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections, each used by one caller at a time.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
    freed: Condvar,
    limit: usize,
    timeout: Duration,
}

#[derive(Debug)]
struct State<T> {
    idle: Vec<T>,
    /// Slots of connections in use or being opened.
    taken: usize,
}

/// No connection became free within the timeout.
#[derive(Debug, thiserror::Error)]
#[error("all connections are in use")]
pub(crate) struct Exhausted;

impl<T> Pool<T> {
    /// A pool of at most `limit` connections. Callers wait up to `timeout` for one.
    pub(crate) const fn new(limit: usize, timeout: Duration) -> Self {
        let state = Mutex::new(State { idle: Vec::new(), taken: 0 });
        Self { state, freed: Condvar::new(), limit, timeout }
    }

    /// Runs `work` with an idle connection, or with a new one from `open`.
    ///
    /// A connection is reused only if its work succeeded. After an error or a panic its state is unknown: it is dropped,
    /// and its slot is free for a new one.
    pub(crate) fn with<R, E: From<Exhausted>>(
        &self,
        open: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut slot = self.slot()?;
        let mut connection = slot.connection.take().map_or_else(open, Ok)?;
        let result = work(&mut connection)?;
        slot.connection = Some(connection);
        Ok(result)
    }

    fn slot(&self) -> Result<Slot<'_, T>, Exhausted> {
        let waited =
            self.freed.wait_timeout_while(self.lock(), self.timeout, |state| state.taken >= self.limit);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.taken >= self.limit {
            return Err(Exhausted);
        }
        state.taken += 1;
        Ok(Slot { pool: self, connection: state.idle.pop() })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permit for one connection. Dropping it returns the permit, and the connection if it is set.
struct Slot<'p, T> {
    pool: &'p Pool<T>,
    connection: Option<T>,
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.taken -= 1;
        state.idle.extend(self.connection.take());
        drop(state);
        self.pool.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[derive(Debug, PartialEq)]
    enum Error {
        Exhausted,
        Work,
    }

    impl From<Exhausted> for Error {
        fn from(_: Exhausted) -> Self {
            Self::Exhausted
        }
    }

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn a_connection_is_reused() {
        let pool = Pool::new(2, SHORT);
        let first = pool.with(|| Ok::<_, Error>(1), |connection| Ok(*connection));
        let second = pool.with(|| Ok::<_, Error>(2), |connection| Ok(*connection));
        assert_eq!((first, second), (Ok(1), Ok(1)));
    }

    #[test]
    fn no_more_than_the_limit_are_in_use() {
        let pool = Pool::new(1, SHORT);
        let inner = pool.with(|| Ok(1), |_| Ok::<_, Error>(pool.with(|| Ok(2), |_| Ok::<_, Error>(()))));
        assert_eq!(inner, Ok(Err(Error::Exhausted)));
    }

    #[test]
    fn errors_and_panics_drop_the_connection_and_free_its_slot() {
        let pool = Pool::new(1, SHORT);
        assert_eq!(pool.with(|| Err::<i32, _>(Error::Work), |_| Ok(())), Err(Error::Work));
        assert_eq!(pool.with(|| Ok(1), |_| Err::<(), _>(Error::Work)), Err(Error::Work));
        let panic = catch_unwind(AssertUnwindSafe(|| {
            pool.with(|| Ok::<_, Error>(2), |_| -> Result<(), Error> { panic!("in work") })
        }));
        assert!(panic.is_err());
        let panic = catch_unwind(AssertUnwindSafe(|| {
            pool.with(|| -> Result<i32, Error> { panic!("in open") }, |_| Ok(()))
        }));
        assert!(panic.is_err());
        assert_eq!(pool.with(|| Ok::<_, Error>(3), |connection| Ok(*connection)), Ok(3));
    }

    #[test]
    fn waiting_callers_get_a_connection() {
        let pool = Pool::new(2, Duration::from_secs(10));
        let opened = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let open = || Ok::<_, Error>(opened.fetch_add(1, Ordering::Relaxed));
                        let work = |_: &mut usize| {
                            thread::yield_now();
                            Ok(())
                        };
                        pool.with(open, work).unwrap();
                    }
                });
            }
        });
        assert!(opened.into_inner() <= 2);
    }
}
