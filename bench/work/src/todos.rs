//! Todos in SQLite: one connection behind a lock, statements prepared once, a write-ahead log.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

/// The number of todos in a new database.
pub const SEEDED: u32 = 1000;

/// A database.
#[derive(Debug)]
pub struct Todos(Mutex<Connection>);

#[derive(Debug, Serialize)]
struct Todo {
    id: i64,
    title: String,
    done: bool,
}

#[derive(Debug, Deserialize)]
struct Draft {
    title: String,
}

/// Errors of the database and of its input.
#[derive(Debug)]
pub enum TodosError {
    /// The database could not be opened.
    Open(String),
    /// An error of SQLite.
    Sql(rusqlite::Error),
    /// The draft cannot be parsed.
    Json(serde_json::Error),
}

impl std::fmt::Display for TodosError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(error) => write!(f, "the todos cannot be opened: {error}"),
            Self::Sql(error) => write!(f, "the todos cannot be used: {error}"),
            Self::Json(error) => write!(f, "the todo cannot be read: {error}"),
        }
    }
}

impl std::error::Error for TodosError {}

impl From<rusqlite::Error> for TodosError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for TodosError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl Todos {
    /// Creates the database in `folder`, with [`SEEDED`] todos.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open(folder: &Path) -> Result<Self, TodosError> {
        let connection = Connection::open(folder.join("todos.sqlite3"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(
            "CREATE TABLE todos (id INTEGER PRIMARY KEY, title TEXT NOT NULL, done INTEGER NOT NULL)",
        )?;
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO todos SELECT i, 'todo number ' || i, i % 2 FROM n";
        connection.execute(fill, [SEEDED])?;
        Ok(Self(Mutex::new(connection)))
    }

    /// The ten todos after number n, for the query `after=n`.
    ///
    /// # Errors
    /// SQLite's.
    pub fn list(&self, query: &str) -> Result<Vec<u8>, TodosError> {
        let after: i64 =
            query.strip_prefix("after=").and_then(|number| number.parse().ok()).unwrap_or_default();
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection
            .prepare_cached("SELECT id, title, done FROM todos WHERE id > ?1 ORDER BY id LIMIT 10")?;
        let rows = statement
            .query_map([after], |row| Ok(Todo { id: row.get(0)?, title: row.get(1)?, done: row.get(2)? }))?;
        let todos = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(serde_json::to_vec(&todos)?)
    }

    /// Creates a todo from `{"title": …}`.
    ///
    /// # Errors
    /// SQLite's, or if the body has another form.
    pub fn create(&self, body: &[u8]) -> Result<Vec<u8>, TodosError> {
        let Draft { title } = serde_json::from_slice(body)?;
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement =
            connection.prepare_cached("INSERT INTO todos (title, done) VALUES (?1, 0) RETURNING id")?;
        let id = statement.query_row([&title], |row| row.get(0))?;
        Ok(serde_json::to_vec(&Todo { id, title, done: false })?)
    }
}
