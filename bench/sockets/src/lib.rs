//! An echo over WebSockets: the same application on axum's own listener and as a function.

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use fezz_sdk::fezz_function;

/// `/` upgrades.
#[fezz_function]
pub fn app() -> Router {
    Router::new().route("/", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}
