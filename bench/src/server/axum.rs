//! The rows that all others are held against: axum handlers, nothing around them.
//!
//! The runtime is the host's: as many workers as there are cores to run on, which is one where it is pinned.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
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

use super::{Process, await_address, lines};
use crate::error::BenchError;

/// The host's default.
const MAX_BODY: usize = 10 << 20;

/// Starts this very program as a server.
pub(super) fn start(data: &Path) -> Result<(SocketAddr, Process), BenchError> {
    start_own("bare axum", "serve-axum", data)
}

/// Starts this very program as the server that a command of its is.
pub(super) fn start_own(
    name: &'static str,
    command: &str,
    folder: &Path,
) -> Result<(SocketAddr, Process), BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
    let mut process = Process::start(Command::new(own).arg(command).arg(folder).stdout(Stdio::piped()))?;
    let lines = lines(process.0.stdout.take());
    let address = await_address(name, &lines, |line| line.parse().ok())?;
    Ok((address, process))
}

/// Serves on a free port, whose address is printed, until the process is killed.
pub(crate) fn serve(data: &Path) -> Result<(), BenchError> {
    run(|| app(data))
}

/// Serves an app in this process.
pub(super) fn run(app: impl FnOnce() -> Result<Router, BenchError>) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("starting the runtime"))?;
    let app = app()?;
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        print(listener.local_addr()?)?;
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

/// At the host's paths, so that the load is the same to the byte.
fn app(data: &Path) -> Result<Router, BenchError> {
    let todos = Todos::open(data).map_err(|error| BenchError::Answer(error.to_string()))?;
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

/// What blocks belongs on a thread that may block.
async fn slow() -> impl IntoResponse {
    let _ = tokio::task::spawn_blocking(|| std::thread::sleep(SLOW)).await;
    json(HELLO)
}

/// In place: a hand-over to another thread costs more than a read of a small database.
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

/// The benchmark waits for this line.
fn print(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{address}")?;
    out.flush()
}
