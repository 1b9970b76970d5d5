//! A router with WebSockets, as it would be on a listener of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use fezz_sdk::{Context, fezz_function};

/// Sockets that have a task.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// The routes.
#[fezz_function]
pub fn app() -> Router {
    Router::new()
        .route("/echo", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route("/any", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route("/closing", get(closing))
        .route("/crash", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(crash) }))
        .route("/panic", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(panics) }))
        .route("/declined", get(|_: WebSocketUpgrade| async { (StatusCode::FORBIDDEN, "not you") }))
        .route("/unasked", get(|| async { StatusCode::SWITCHING_PROTOCOLS }))
        .route("/headers", get(headers))
        .route("/open", get(|| async { OPEN.load(Ordering::SeqCst).to_string() }))
        .route("/build", get(|| async { fezz_sdk::variable("BUILD").unwrap_or_default() }))
        .route("/pid", get(|| async { std::process::id().to_string() }))
}

struct Counted;

impl Counted {
    fn new() -> Self {
        OPEN.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn echo(mut socket: WebSocket) {
    let _counted = Counted::new();
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Says goodbye when the host is about to end.
async fn closing(Extension(context): Extension<Context>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        let _counted = Counted::new();
        let closing = context.closing();
        drop(context);
        let mut closing = std::pin::pin!(closing);
        loop {
            // Without `select!`, so that the fixture needs no macros.
            let next = std::future::poll_fn(|cx| {
                use std::future::Future;
                use std::task::Poll;
                if closing.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                std::pin::pin!(socket.recv()).poll(cx).map(Some)
            });
            match next.await {
                None => break,
                Some(Some(Ok(message @ Message::Text(_)))) => _ = socket.send(message).await,
                Some(Some(Ok(_))) => {}
                Some(_) => return,
            }
        }
        let goodbye = CloseFrame { code: close_code::AWAY, reason: "the host ends".into() };
        let _ = socket.send(Message::Close(Some(goodbye))).await;
        while let Some(Ok(_)) = socket.recv().await {}
    })
}

async fn crash(mut socket: WebSocket) {
    if let Some(Ok(_)) = socket.recv().await {
        std::process::abort();
    }
}

async fn panics(mut socket: WebSocket) {
    let _counted = Counted::new();
    if let Some(Ok(_)) = socket.recv().await {
        panic!("in an open socket");
    }
}

async fn headers(headers: HeaderMap) -> impl IntoResponse {
    let get = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    format!("{} {}", get("connection"), get("upgrade"))
}
