//! The row that all others are held against: an axum handler, nothing around it.
//!
//! The runtime is the host's: as many workers as there are cores to run on, which is one where it is pinned.

use std::io::Write;
use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use crate::BODY;
use crate::error::BenchError;

/// Serves on a free port, whose address is printed, until the process is killed.
pub(crate) fn serve() -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("starting the runtime"))?;
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        print(listener.local_addr()?)?;
        let app = Router::new().route("/hello", get(async || ([(CONTENT_TYPE, "application/json")], BODY)));
        axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |stream| {
                // As the host does; without it axum would be judged by Nagle's algorithm.
                let _ = stream.set_nodelay(true);
            }),
            app,
        )
        .await
    });
    served.map_err(BenchError::io("serving"))
}

/// The benchmark waits for this line.
fn print(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{address}")?;
    out.flush()
}
