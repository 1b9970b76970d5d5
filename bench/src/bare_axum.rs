//! The row that all others are held against: an axum handler, nothing around it.

use std::io::Write;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use crate::BODY;
use crate::server::BenchError;

/// Serves on a free port, whose address is printed, until the process is killed.
pub(crate) fn serve() -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        let app = Router::new().route("/hello", get(async || ([(CONTENT_TYPE, "application/json")], BODY)));
        axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |stream| {
                // As the host does; without it axum would be judged by Nagle's algorithm.
                let _ = stream.set_nodelay(true);
            }),
            app,
        )
        .await?;
        Ok(())
    })
}
