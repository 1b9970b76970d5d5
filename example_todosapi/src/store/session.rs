//! [`Session`]: a SQLite connection with a file lock, safe with several copies of SQLite in one process.
//!
//! Each function library has its own copy of SQLite, and the host may load several into one process: two versions of
//! this function, or the old and the new code during a deploy. They share the database, but SQLite's locks do not work
//! between them: POSIX record locks belong to a process, not to a library, and are released when any copy closes the
//! file ("How To Corrupt An SQLite Database File", section 2.2). Two copies would overwrite each other's commits.
//!
//! So each transaction first takes an `flock` on a file beside the database. It belongs to the open file, so it works
//! between threads, copies and processes, and is released when its holder exits. The database keeps its rollback
//! journal, since the lock is not enough for WAL mode: there, a copy that opens the database believes to be the first,
//! and truncates the shared-memory index that the others have mapped.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::StoreError;

/// Pause between two attempts to take the lock. Threads of this library do not compete for it, see `Store`.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The kind of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Shared with other readers.
    Read,
    /// Exclusive.
    Write,
}

/// A connection and its lock file. The order of fields matters: an open transaction is rolled back before the lock is
/// released.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    lock_file: File,
}

impl Session {
    /// Opens the database and its lock file. Commits are durable when they return, which is SQLite's default.
    pub(super) fn open(path: &Path, timeout: Duration) -> Result<Self, StoreError> {
        let lock_path = lock_path(path);
        let lock_file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock_file = lock_file.map_err(|source| StoreError::LockFile { path: lock_path, source })?;
        let connection =
            connect(path, timeout).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Ok(Self { connection, lock_file })
    }

    /// Runs `work` under the file lock.
    pub(super) fn run<R>(
        &mut self,
        access: Access,
        timeout: Duration,
        work: impl FnOnce(&mut Connection) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.lock(access, timeout)?;
        let result = work(&mut self.connection);
        self.lock_file.unlock().map_err(StoreError::Lock)?;
        result
    }

    fn lock(&self, access: Access, timeout: Duration) -> Result<(), StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let locked = match access {
                Access::Read => self.lock_file.try_lock_shared(),
                Access::Write => self.lock_file.try_lock(),
            };
            match locked {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(StoreError::Lock(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Lock(io::ErrorKind::WouldBlock.into()));
                }
            }
        }
    }
}

fn connect(path: &Path, timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // For programs that do not use the lock file, such as sqlite3.
    connection.busy_timeout(timeout)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// `todos.sqlite3.lock` for `todos.sqlite3`.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
