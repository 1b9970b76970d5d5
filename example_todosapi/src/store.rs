//! [`Store`]: the todos in SQLite.
//!
//! Threads of this library use the database concurrently, and so may other copies of this function, in this process or
//! another: versions share a data directory. Transactions follow a readers-writer lock: between the threads it is an
//! `RwLock`, in which no writer starves; between the copies a file lock, see [`session`].

mod schema;
mod session;

use std::io;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rusqlite::{ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, named_params, params};

use crate::list_query::ListQuery;
use crate::pool::{Exhausted, Pool};
use crate::todo::{Draft, Todo};
use session::{Access, Session};

/// Maximum number of connections; each has a page cache of up to 2 MB.
const CONNECTIONS: usize = 8;
/// Timeout for a connection, and then for the file lock.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Why the todos cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("there is no data directory, and the variable TODOS_DB is not set")]
    NoLocation,
    #[error("the database {path} cannot be opened: {source}")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the lock file {path} cannot be opened: {source}")]
    LockFile { path: PathBuf, source: io::Error },
    #[error("the database cannot be locked: {0}")]
    Lock(#[source] io::Error),
    #[error("the database has schema {found} and this build knows up to {known}; deploy a newer build")]
    UnknownSchema { found: i64, known: i64 },
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    #[error("the database refused: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// Whether the same call may succeed a moment later.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            Self::Exhausted(_) => true,
            Self::Lock(error) => error.kind() == io::ErrorKind::WouldBlock,
            Self::Open { source, .. } | Self::Sqlite(source) => {
                matches!(
                    source.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                )
            }
            Self::NoLocation | Self::LockFile { .. } | Self::UnknownSchema { .. } => false,
        }
    }
}

/// Part of a list of todos.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Todo>,
    /// The length of the whole list.
    pub(crate) total: i64,
}

/// All todos.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    sessions: Pool<Session>,
    lock: RwLock<()>,
}

impl Store {
    /// Opens the database; creates or migrates it if necessary.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let store = Self { path, sessions: Pool::new(CONNECTIONS, TIMEOUT), lock: RwLock::new(()) };
        store.sessions.with(
            || Session::open(&store.path, TIMEOUT),
            |session| session.run(Access::Write, TIMEOUT, schema::migrate),
        )?;
        Ok(store)
    }

    /// The todos that match the query, oldest first. `LIKE` folds the case of ASCII letters only.
    pub(crate) fn list(&self, query: &ListQuery) -> Result<Page, StoreError> {
        let pattern = query.text.as_deref().map(like_pattern);
        self.read(|transaction| {
            let total = transaction
                .prepare_cached(include_str!("store/count.sql"))?
                .query_row(named_params! { ":done": query.done, ":pattern": pattern }, |row| row.get(0))?;
            let mut select = transaction.prepare_cached(include_str!("store/list.sql"))?;
            let parameters = named_params! {
                ":done": query.done, ":pattern": pattern, ":limit": query.limit, ":offset": query.offset,
            };
            let items = select.query_map(parameters, todo)?.collect::<Result<_, _>>()?;
            Ok(Page { items, total })
        })
    }

    /// One todo.
    pub(crate) fn get(&self, id: i64) -> Result<Option<Todo>, StoreError> {
        let sql = "SELECT id, title, done, created_at, updated_at FROM todos WHERE id = ?1";
        self.read(|transaction| transaction.prepare_cached(sql)?.query_row([id], todo).optional())
    }

    /// Adds a todo.
    pub(crate) fn create(&self, draft: &Draft) -> Result<Todo, StoreError> {
        let sql = "INSERT INTO todos (title, done) VALUES (?1, ?2)
                   RETURNING id, title, done, created_at, updated_at";
        let Draft { title, done } = draft;
        self.write(|transaction| transaction.prepare_cached(sql)?.query_row(params![title, done], todo))
    }

    /// Replaces a todo, if it exists.
    pub(crate) fn replace(&self, id: i64, draft: &Draft) -> Result<Option<Todo>, StoreError> {
        let sql = "UPDATE todos SET title = ?2, done = ?3, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                   WHERE id = ?1 RETURNING id, title, done, created_at, updated_at";
        let Draft { title, done } = draft;
        self.write(|transaction| {
            transaction.prepare_cached(sql)?.query_row(params![id, title, done], todo).optional()
        })
    }

    /// Deletes a todo; false if it does not exist.
    pub(crate) fn delete(&self, id: i64) -> Result<bool, StoreError> {
        let sql = "DELETE FROM todos WHERE id = ?1";
        self.write(|transaction| Ok(transaction.prepare_cached(sql)?.execute([id])? > 0))
    }

    /// Runs `work` in a read transaction.
    fn read<R>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R>) -> Result<R, StoreError> {
        let _guard = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        self.run(Access::Read, TransactionBehavior::Deferred, work)
    }

    /// Runs `work` in a write transaction. It begins `IMMEDIATE`: a deferred one that reads before it writes fails with
    /// `SQLITE_BUSY`, without waiting for the busy timeout, if another program has written in between.
    fn write<R>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R>) -> Result<R, StoreError> {
        let _guard = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        self.run(Access::Write, TransactionBehavior::Immediate, work)
    }

    /// Runs `work` in a transaction, which is rolled back if it fails or panics.
    fn run<R>(
        &self,
        access: Access,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R>,
    ) -> Result<R, StoreError> {
        self.sessions.with(
            || Session::open(&self.path, TIMEOUT),
            |session| {
                session.run(access, TIMEOUT, |connection| {
                    let transaction = connection.transaction_with_behavior(behavior)?;
                    let result = work(&transaction)?;
                    transaction.commit()?;
                    Ok(result)
                })
            },
        )
    }
}

fn todo(row: &Row<'_>) -> rusqlite::Result<Todo> {
    Ok(Todo {
        id: row.get("id")?,
        title: row.get("title")?,
        done: row.get("done")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// A `LIKE` pattern for titles that contain `text`, with `%` and `_` escaped.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests;
