//! An async function with tokio-postgres for the host's tests: all calls share one client in a static.

use fezz_sdk::{FezzError, FezzHttpRequest, fezz_function};
use tokio::sync::OnceCell;
use tokio_postgres::{CancelToken, Client, NoTls};

/// Dispatches by the matched route.
#[fezz_function]
pub async fn fixture(req: FezzHttpRequest) -> Result<String, FezzError> {
    let client = client().await?;
    match req.matched_route() {
        // The server's process id for this connection, and a computed value.
        "/double/{number}" => {
            let number: i64 = req.param("number").unwrap_or_default().parse()?;
            let row = client.query_one("SELECT pg_backend_pid(), 2 * $1::bigint", &[&number]).await?;
            Ok(format!("{} {}", row.get::<_, i32>(0), row.get::<_, i64>(1)))
        }
        "/sleep/{seconds}" => {
            let seconds: f64 = req.param("seconds").unwrap_or_default().parse()?;
            let unless_dropped = CancelOnDrop(Some(client.cancel_token()));
            client.execute("SELECT pg_sleep($1)", &[&seconds]).await?;
            unless_dropped.disarm();
            Ok("slept".to_owned())
        }
        _ => Err(FezzError::not_found("no such path")),
    }
}

/// The client. Its connection is a task of the library's runtime, which runs between calls too.
async fn client() -> Result<&'static Client, FezzError> {
    static CLIENT: OnceCell<Client> = OnceCell::const_new();
    let connect = || async {
        let url = fezz_sdk::variable("DATABASE_URL")
            .ok_or_else(|| FezzError::internal("DATABASE_URL is not set"))?;
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    };
    CLIENT.get_or_try_init(connect).await
}

/// Cancels the statement on the server if the call is dropped: other calls wait for it on the same connection.
struct CancelOnDrop(Option<CancelToken>);

impl CancelOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(token) = self.0.take() {
            // If that fails, the statement runs to its end.
            tokio::spawn(async move { token.cancel_query(NoTls).await });
        }
    }
}
