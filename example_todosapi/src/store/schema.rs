//! The steps that bring the database's schema up to date.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Each step leads from the schema of its position to the next. One that was released is never changed again.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/1_todos.sql")];
const LATEST: i64 = MIGRATIONS.len() as i64;

/// Runs the steps that are still missing, all or none. Others may open the database at the same time: the version is
/// read within the transaction, so that only the first of them migrates.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // A file that was put here may be in WAL mode, which is not safe here: see `session`.
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
