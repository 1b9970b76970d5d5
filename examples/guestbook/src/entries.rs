//! The statements on entries.

use fezz_sdk::FezzError;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// An entry as sent by a client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEntry {
    name: String,
    message: String,
}

/// A stored entry.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    id: i64,
    name: String,
    message: String,
    written_at: String,
}

impl NewEntry {
    /// Validates the entry. PostgreSQL's text cannot contain NUL.
    pub(crate) fn check(&self) -> Result<(), FezzError> {
        check("name", &self.name, 100)?;
        check("message", &self.message, 10_000)
    }
}

fn check(field: &str, text: &str, longest: usize) -> Result<(), FezzError> {
    if text.trim().is_empty() || text.contains('\0') || text.chars().count() > longest {
        let rule = format!("is 1 to {longest} characters, not all of them blank, and none of them NUL");
        return Err(FezzError::unprocessable("that is no entry").field(field, rule));
    }
    Ok(())
}

/// A row, in the order of the statements' columns.
type Row = (i64, String, String, String);

impl From<Row> for Entry {
    fn from((id, name, message, written_at): Row) -> Self {
        Self { id, name, message, written_at }
    }
}

/// Inserts an entry.
pub(crate) async fn add(pool: &PgPool, new: &NewEntry) -> sqlx::Result<Entry> {
    let row: Row = sqlx::query_as(
        "INSERT INTO guestbook (name, message) VALUES ($1, $2)
         RETURNING id, name, message, to_char(written_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    )
    .bind(&new.name)
    .bind(&new.message)
    .fetch_one(pool)
    .await?;
    Ok(row.into())
}

/// The latest entries, newest first.
pub(crate) async fn latest(pool: &PgPool) -> sqlx::Result<Vec<Entry>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, message, to_char(written_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
         FROM guestbook ORDER BY id DESC LIMIT 50",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Entry::from).collect())
}
