//! WebSocket: axum's extractor in every use, and the cases of Autobahn's test suite as scripts of bytes.

mod cases;
mod frames;
mod openings;
mod utf8;

use axum::Router;
use axum::extract::Path;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::{SinkExt, StreamExt};

use crate::Setup;
use crate::script::Step;

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/echo", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route(
            "/limited",
            any(|upgrade: WebSocketUpgrade| async {
                upgrade.max_message_size(1000).max_frame_size(500).on_upgrade(echo)
            }),
        )
        .route(
            "/large",
            any(|upgrade: WebSocketUpgrade| async {
                upgrade.max_message_size(1 << 26).max_frame_size(1 << 26).on_upgrade(echo)
            }),
        )
        .route("/protocols", any(protocols))
        .route("/push", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(push) }))
        .route(
            "/close/{code}",
            any(|Path(code): Path<u16>, upgrade: WebSocketUpgrade| async move {
                upgrade.on_upgrade(move |socket| close(socket, code))
            }),
        )
        .route(
            "/drop",
            any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(|socket| async { drop(socket) }) }),
        )
        .route(
            "/panic",
            any(|upgrade: WebSocketUpgrade| async {
                upgrade.on_upgrade(|_| async { panic!("in the socket") })
            }),
        )
        .route("/split", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(split) }))
        .route("/forbidden", any(forbidden))
        .route(
            "/with-headers",
            any(|upgrade: WebSocketUpgrade| async {
                ([(header::SET_COOKIE, "socket=1"), (header::VARY, "origin")], upgrade.on_upgrade(echo))
            }),
        )
        .route("/get", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route("/not-a-socket", get(|| async { "no socket here" }))
        .route("/page", get(|| async { Html(include_str!("page.html")) }))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let answered = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            _ => Ok(()),
        };
        if answered.is_err() {
            return;
        }
    }
}

async fn protocols(upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.protocols(["chat", "superchat"]);
    let chosen =
        upgrade.selected_protocol().and_then(|protocol| protocol.to_str().ok()).unwrap_or("none").to_owned();
    upgrade.on_upgrade(move |mut socket| async move {
        let _ = socket.send(Message::Text(chosen.into())).await;
        echo(socket).await;
    })
}

async fn push(mut socket: WebSocket) {
    for message in [
        Message::text("first"),
        Message::binary(vec![0, 1, 2]),
        Message::Ping("ping".into()),
        Message::text(""),
    ] {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    close(socket, 1000).await;
}

async fn close(mut socket: WebSocket, code: u16) {
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static("as asked") };
    let _ = socket.send(Message::Close(Some(frame))).await;
    while let Some(Ok(_)) = socket.recv().await {}
}

/// Reads and writes in two tasks.
async fn split(socket: WebSocket) {
    let (mut sender, mut receiver) = socket.split();
    let writer = tokio::spawn(async move {
        for n in 0..3 {
            if sender.send(Message::text(n.to_string())).await.is_err() {
                return;
            }
        }
        let _ = sender.close().await;
    });
    while let Some(Ok(_)) = receiver.next().await {}
    let _ = writer.await;
}

async fn forbidden(headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if headers.contains_key("x-let-in") {
        upgrade.on_upgrade(echo)
    } else {
        (StatusCode::FORBIDDEN, "not for you").into_response()
    }
}

pub(crate) fn script() -> Vec<Step> {
    [openings::all(), cases::all()].concat()
}
