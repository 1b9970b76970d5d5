//! Server-sent events, with what keeps the connection alive.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;

use crate::Setup;
use crate::script::{Step, get as fetch, steps};

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/events", get(|| async { Sse::new(events()) }))
        .route("/resume", get(resume))
        .route(
            "/alive",
            get(|| async {
                Sse::new(slow())
                    .keep_alive(KeepAlive::new().interval(Duration::from_millis(20)).text("alive"))
            }),
        )
        .route(
            "/alive-event",
            get(|| async {
                Sse::new(slow()).keep_alive(
                    KeepAlive::new()
                        .interval(Duration::from_millis(20))
                        .event(Event::default().event("ping")),
                )
            }),
        )
        .route("/default-alive", get(|| async { Sse::new(events()).keep_alive(KeepAlive::default()) }))
        .route("/none", get(|| async { Sse::new(stream::empty::<Result<Event, Infallible>>()) }))
        .route(
            "/endless",
            get(|| async {
                Sse::new(stream::repeat_with(|| Ok::<_, Infallible>(Event::default().data("tick"))).then(
                    |event| async {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        event
                    },
                ))
            }),
        )
}

fn events() -> impl Stream<Item = Result<Event, Infallible>> {
    let events = [
        Event::default().data("plain"),
        Event::default().event("named").id("7").data("two\nlines"),
        Event::default().comment("a comment"),
        Event::default().retry(Duration::from_secs(3)).data(""),
        Event::default().json_data(json!({ "a": 1 })).unwrap_or_default(),
    ];
    stream::iter(events).map(Ok)
}

fn slow() -> impl Stream<Item = Result<Event, Infallible>> {
    let event = |n: u8| async move {
        tokio::time::sleep(Duration::from_millis(120)).await;
        Ok(Event::default().data(n.to_string()))
    };
    stream::iter(0..3).then(event)
}

async fn resume(headers: HeaderMap) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u32>().ok()).unwrap_or(0);
    Sse::new(stream::iter(last + 1..last + 4).map(|id| Ok(Event::default().id(id.to_string()).data("again"))))
}

pub(crate) fn script() -> Vec<Step> {
    steps([
        fetch("/events"),
        fetch("/events").header("accept", "text/event-stream"),
        fetch("/resume"),
        fetch("/resume").header("last-event-id", "41"),
        fetch("/alive").repeats(": alive\n\n"),
        fetch("/alive-event").repeats("event: ping\n\n"),
        fetch("/default-alive"),
        fetch("/none"),
        fetch("/endless").leave_after(60),
        fetch("/events"),
    ])
}
