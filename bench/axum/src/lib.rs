//! axum handlers that do what the benchmark's functions do, and the loop that serves them.
//!
//! The paths are the host's, so that the load is the same to the byte.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use fezz_bench_work::todos::{Todos, TodosError};
use fezz_bench_work::upload::receipt;
use fezz_bench_work::{HELLO, SLOW, order};

/// The host's default limit of a request's body.
pub const MAX_BODY: usize = 10 << 20;

/// Serves a router on a free port of the loopback interface, and prints its address, until the process is killed.
///
/// The runtime is set up as the host's: one worker thread for each CPU that the process may use. `app` is called
/// inside it.
///
/// # Errors
/// Where the runtime cannot be started, or the listener fails.
pub fn serve(app: impl FnOnce() -> Router) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        print(listener.local_addr()?)?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // As the host does; otherwise Nagle's algorithm would be measured.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app()).await
    })
}

/// The benchmark waits for this line.
fn print(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{address}")?;
    out.flush()
}

/// All handlers; the todos' database is made in `data`.
///
/// # Errors
/// Where the database cannot be made.
pub fn handlers(data: &Path) -> Result<Router, TodosError> {
    let todos = Todos::open(data)?;
    Ok(Router::new()
        .route("/rpc/hello@latest", get(async || json(HELLO)))
        .route("/rpc/echo@latest", post(echo).layer(DefaultBodyLimit::max(MAX_BODY)))
        .route("/rpc/upload@latest", post(upload).layer(DefaultBodyLimit::max(MAX_BODY)))
        .route("/rpc/json@latest", post(price))
        .route("/rpc/slow@latest", get(slow))
        .route("/rpc/todos@latest", get(list).post(create))
        .with_state(Arc::new(todos)))
}

fn json(body: impl IntoResponse) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], body)
}

async fn echo(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/octet-stream")], body)
}

async fn upload(body: Bytes) -> impl IntoResponse {
    json(receipt(&body))
}

async fn price(body: Bytes) -> Response {
    match order::price(&body) {
        Ok(priced) => json(priced).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// Blocks on a thread of tokio's blocking pool.
async fn slow() -> impl IntoResponse {
    let _ = tokio::task::spawn_blocking(|| std::thread::sleep(SLOW)).await;
    json(HELLO)
}

/// In place: handing a call to another thread costs more than reading a small database.
async fn list(State(todos): State<Arc<Todos>>, RawQuery(query): RawQuery) -> Response {
    answer(StatusCode::OK, todos.list(&query.unwrap_or_default()))
}

async fn create(State(todos): State<Arc<Todos>>, body: Bytes) -> Response {
    answer(StatusCode::CREATED, todos.create(&body))
}

fn answer(status: StatusCode, body: Result<Vec<u8>, TodosError>) -> Response {
    match body {
        Ok(body) => (status, json(body)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
