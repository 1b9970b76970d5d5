//! An async function for the host's tests: waits, streams, panics, and keeps wakers.

mod clients;
mod streams;
mod wakers;

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fezz_sdk::{BodyStream, FezzError, FezzHttpRequest, FezzHttpResponse, IntoFezzResponse, fezz_function};

/// The number of live futures and streams.
static ALIVE: AtomicU64 = AtomicU64::new(0);
/// Calls that have begun to wait.
static WAITING: AtomicU64 = AtomicU64::new(0);

/// Counts itself in [`ALIVE`] until it is dropped.
struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in the drop of a future");
    }
}

/// Dispatches by the matched route.
#[fezz_function(stream, init = start, shutdown = stop)]
pub async fn fixture(req: FezzHttpRequest, body: BodyStream) -> Result<FezzHttpResponse, FezzError> {
    let ok = FezzHttpResponse::ok();
    Ok(match req.matched_route() {
        "/ping" => ok.text("pong"),
        "/alive" => ok.text(ALIVE.load(Ordering::SeqCst).to_string()),
        "/waiting" => ok.text(WAITING.load(Ordering::SeqCst).to_string()),
        "/sleep/{ms}" => {
            tokio::time::sleep(Duration::from_millis(number(&req))).await;
            ok.text("slept")
        }
        "/forever" => {
            let _alive = Alive::new();
            WAITING.fetch_add(1, Ordering::SeqCst);
            pending().await
        }
        "/block/{ms}" => {
            std::thread::sleep(Duration::from_millis(number(&req)));
            ok.text("blocked")
        }
        "/panic" => {
            tokio::task::yield_now().await;
            panic!("secret detail {}", 42)
        }
        "/panic-in-drop" => {
            let _panics = PanicsInDrop;
            let _alive = Alive::new();
            WAITING.fetch_add(1, Ordering::SeqCst);
            pending().await
        }
        "/spawn" => tokio::spawn(async { "from a task" }).await?.into_fezz_response(),
        "/log" => log_everything().await,
        "/task-panic" => {
            let panicked = tokio::spawn(async { panic!("in a task of its own") }).await;
            ok.text(panicked.is_err().to_string())
        }
        "/clients" => clients::answer(&req).await?,
        "/wakers/{what}" => wakers::answer(&req).await,
        _ => streams::answer(&req, body).await?,
    })
}

/// Fails as the variable `INIT` says.
fn start() -> Result<(), FezzError> {
    match fezz_sdk::variable("INIT") {
        Some("panic") => panic!("in init"),
        Some("error") => Err(FezzError::internal("there is nothing to start with")),
        _ => Ok(()),
    }
}

fn stop() {
    assert_ne!(fezz_sdk::variable("SHUTDOWN"), Some("panic"), "in shutdown");
    tracing::info!("stopped");
}

async fn log_everything() -> FezzHttpResponse {
    tracing::info!(user = 7, "an event");
    tracing::debug!("too fine");
    log::warn!("a record");
    let span = tracing::info_span!("job", name = "tidy");
    let task = tracing::Instrument::instrument(async { tracing::info!("in a task") }, span);
    let _ = tokio::spawn(task).await;
    FezzHttpResponse::ok()
}

fn number(req: &FezzHttpRequest) -> u64 {
    req.params().next().and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}
