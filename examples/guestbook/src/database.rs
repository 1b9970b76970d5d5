//! The connection pool, made by the first call and kept across evictions.

use std::time::Duration;

use fezz_sdk::FezzError;
use fezz_sdk::http::StatusCode;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::OnceCell;

/// Maximum number of connections of one process.
const CONNECTIONS: u32 = 8;

/// Timeout for a free connection. Together with the statement timeout it is less than `timeout_ms` in `fezz.json`, so
/// that the client gets this function's error and not the host's.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// PostgreSQL's timeout for a statement.
///
/// A cancelled call drops its future, and the server does not notice: the statement continues, and the connection is not
/// free before its end. This timeout limits that.
const STATEMENT_TIMEOUT: &str = "2s";

/// The pool, on a database with the table. The first call makes it while others wait; after an error, the next call
/// tries again.
pub(crate) async fn pool() -> Result<&'static PgPool, FezzError> {
    static POOL: OnceCell<PgPool> = OnceCell::const_new();
    POOL.get_or_try_init(connect).await
}

async fn connect() -> Result<PgPool, FezzError> {
    let url =
        fezz_sdk::variable("DATABASE_URL").ok_or_else(|| FezzError::internal("DATABASE_URL is not set"))?;
    let options = url
        .parse::<PgConnectOptions>()?
        .application_name("guestbook")
        .options([("statement_timeout", STATEMENT_TIMEOUT)]);
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    let pool = pool.connect_lazy_with(options);
    sqlx::raw_sql(include_str!("schema.sql")).execute(&pool).await.map_err(failed)?;
    Ok(pool)
}

/// 503 for a database that is unreachable or overloaded; 500 for any other error.
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
        // The classes "insufficient resources" and "operator intervention", which includes the statement timeout.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("53") || code.starts_with("57"))
        }
        _ => false,
    }
}
