//! Schema migrations.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Each step migrates from the schema version of its index to the next. A released step is never changed.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/1_todos.sql")];
const LATEST: i64 = MIGRATIONS.len() as i64;

/// Runs the missing steps in one transaction. It also reads the version, so that of several concurrent callers only the
/// first migrates.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // An existing file may be in WAL mode, which is not safe with several copies of SQLite: see `session`.
    connection.pragma_update(None, "journal_mode", "delete")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let missing = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..));
    let missing = missing.ok_or(StoreError::UnknownSchema { found, known: LATEST })?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    if !missing.is_empty() {
        transaction.pragma_update(None, "user_version", LATEST)?;
    }
    Ok(transaction.commit()?)
}
