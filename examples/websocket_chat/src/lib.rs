//! A chat: a page, and one room that everybody is in.
//!
//! The application is plain axum; the route `/room` has `"upgrade": true` in `fezz.json`. A participant who reads too
//! slowly misses what was said in the meantime, and is told how much, rather than hold up the others.

mod room;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{Html, Response};
use axum::routing::get;
use axum::{Extension, Router};
use fezz_sdk::{Context, fezz_function};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use room::{Event, Room};

/// The longest message, in bytes.
const LONGEST: usize = 4 << 10;

/// The application: made once, so that all calls share the room.
#[fezz_function]
pub fn app() -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/room", get(enter))
        .with_state(Room::default())
}

async fn enter(
    State(room): State<Room>,
    Extension(context): Extension<Context>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let closing = context.closing();
    upgrade.max_message_size(LONGEST).on_upgrade(|socket| participate(socket, room, closing))
}

/// What a client sends.
#[derive(Debug, Deserialize)]
struct Said {
    name: String,
    text: String,
}

async fn participate(mut socket: WebSocket, room: Room, closing: impl Future<Output = ()>) {
    let mut events = room.enter();
    let mut closing = std::pin::pin!(closing);
    loop {
        let sent = tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(Said { name, text }) => {
                        room.say(name, text);
                        Ok(())
                    }
                    Err(_) => return close(socket, close_code::INVALID, "send {\"name\": …, \"text\": …}").await,
                },
                // axum answers pings itself.
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => Ok(()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            event = events.recv() => match event {
                Ok(event) => socket.send(text(&event)).await,
                Err(RecvError::Lagged(missed)) => socket.send(text(&Event::Missed { missed })).await,
                Err(RecvError::Closed) => return,
            },
            // The page connects again, and reaches the process that serves next.
            () = &mut closing => return close(socket, close_code::AWAY, "the host ends").await,
        };
        if sent.is_err() {
            return;
        }
    }
}

fn text(event: &Event) -> Message {
    Message::text(serde_json::to_string(event).unwrap_or_default())
}

/// Says goodbye, and waits for the client's answer.
async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let goodbye = CloseFrame { code, reason: reason.into() };
    if socket.send(Message::Close(Some(goodbye))).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}
