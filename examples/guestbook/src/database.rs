//! The pool: made at the first call, and warm from then on, over evictions too.

use std::sync::OnceLock;
use std::time::Duration;

use fezz_sdk::FezzError;
use fezz_sdk::http::StatusCode;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::OnceCell;

/// Connections of one process at most.
const CONNECTIONS: u32 = 8;

/// How long a call waits for a connection. With the statement's time it is less than `timeout_ms` in `fezz.json`, so that
/// a client is told what is wrong.
const WAIT: Duration = Duration::from_secs(2);

/// When PostgreSQL gives a statement up.
///
/// A call that is cancelled drops its future, and the server is none the wiser: its statement runs on, and sqlx has the
/// connection back only when it has ended. This is when that is, at the latest.
const STATEMENT_TIMEOUT: &str = "2s";

/// The pool, on a database that has the table.
pub(crate) async fn pool() -> Result<&'static PgPool, FezzError> {
    static TABLE: OnceCell<()> = OnceCell::const_new();
    let pool = connections()?;
    TABLE.get_or_try_init(|| make_table(pool)).await.map_err(failed)?;
    Ok(pool)
}

/// Making the pool connects to nothing, so that it does no harm where two first calls do it at once. An address that
/// cannot be read is not kept, and an error again at the next call.
fn connections() -> Result<&'static PgPool, FezzError> {
    static POOL: OnceLock<PgPool> = OnceLock::new();
    if let Some(pool) = POOL.get() {
        return Ok(pool);
    }
    let url =
        fezz_sdk::variable("DATABASE_URL").ok_or_else(|| FezzError::internal("DATABASE_URL is not set"))?;
    let options = url
        .parse::<PgConnectOptions>()?
        .application_name("guestbook")
        .options([("statement_timeout", STATEMENT_TIMEOUT)]);
    let pool =
        PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(WAIT).connect_lazy_with(options);
    Ok(POOL.get_or_init(|| pool))
}

async fn make_table(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::raw_sql(include_str!("schema.sql")).execute(pool).await?;
    Ok(())
}

/// A database that is away or overloaded is one to come back to: 503. All else is a mistake of this function: 500.
pub(crate) fn failed(error: sqlx::Error) -> FezzError {
    if is_temporary(&error) {
        FezzError::new(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer; try again")
            .caused_by(error)
    } else {
        error.into()
    }
}

fn is_temporary(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // The classes "insufficient resources" and "operator intervention", to which the statement's timeout belongs.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("53") || code.starts_with("57"))
        }
        _ => false,
    }
}
