//! A connection that other copies of SQLite in this process cannot disturb.
//!
//! Each function library brings its own copy of SQLite, and the host may run several of them in one process: two
//! versions of this function, or the old and the new code while it is being replaced. They share the database, but
//! SQLite's locks do not hold between them: POSIX record locks tell processes apart and not libraries, and are lost
//! when any of them closes the file ("How To Corrupt An SQLite Database File", section 2.2). Two such copies overwrite
//! each other's commits.
//!
//! So each transaction takes a lock of its own first, on a file beside the database: `flock`, which belongs to the open
//! file, tells all of them apart, threads and processes too, and ends with its holder. The database keeps its rollback
//! journal, because that is not enough for WAL mode: there, a copy that opens the database takes itself for the first
//! one, and cuts short the index that the others have mapped.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::StoreError;

/// How long to wait between two tries for the lock. Threads in here do not try at the same time, see `Store`.
const PAUSE: Duration = Duration::from_millis(1);

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading, along with others that read.
    Read,
    /// Writing, alone.
    Write,
}

/// A connection and the file that guards it. The order counts: what is open is rolled back before the lock is dropped.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    gate: File,
}

impl Session {
    /// Opens the database, and the file beside it. Commits are on disk when they return, which is SQLite's default.
    pub(super) fn open(path: &Path, patience: Duration) -> Result<Self, StoreError> {
        let gate_path = beside(path);
        let gate = OpenOptions::new().create(true).truncate(false).write(true).open(&gate_path);
        let gate = gate.map_err(|source| StoreError::Gate { path: gate_path, source })?;
        let connection =
            connect(path, patience).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Ok(Self { connection, gate })
    }

    /// Does `work` while nobody else does what would disturb it.
    pub(super) fn run<R>(
        &mut self,
        access: Access,
        patience: Duration,
        work: impl FnOnce(&mut Connection) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.lock(access, patience)?;
        let result = work(&mut self.connection);
        self.gate.unlock().map_err(StoreError::Lock)?;
        result
    }

    fn lock(&self, access: Access, patience: Duration) -> Result<(), StoreError> {
        let deadline = Instant::now() + patience;
        loop {
            let locked = match access {
                Access::Read => self.gate.try_lock_shared(),
                Access::Write => self.gate.try_lock(),
            };
            match locked {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(StoreError::Lock(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Lock(io::ErrorKind::WouldBlock.into()));
                }
            }
        }
    }
}

fn connect(path: &Path, patience: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // For programs that know nothing of the file beside, such as sqlite3.
    connection.busy_timeout(patience)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// `todos.sqlite3.lock` for `todos.sqlite3`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
