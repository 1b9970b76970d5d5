//! Streams: slow ones, ones that fail or panic on the way, uploads that are answered while they arrive, clients that leave.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, steps};

/// How many streams have ended before their time.
#[derive(Clone, Default)]
struct Left(Arc<(AtomicU32, Notify)>);

/// Counts when it is dropped.
struct Guard(Left);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.0.fetch_add(1, Ordering::SeqCst);
        self.0.0.1.notify_waiters();
    }
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/trickle", get(trickle))
        .route("/error", get(|| failing(Err(io::Error::other("in mid-stream")))))
        .route(
            "/error-at-once",
            get(|| async {
                Body::from_stream(stream::once(async { Err::<Bytes, _>(io::Error::other("at once")) }))
            }),
        )
        .route(
            "/error-declared",
            get(|| async {
                ([("content-length", "100")], failing(Err(io::Error::other("too short"))).await)
            }),
        )
        .route("/short", get(|| async { ([("content-length", "100")], Body::from_stream(paced(3))) }))
        .route("/long", get(|| async { ([("content-length", "5")], Body::from_stream(paced(3))) }))
        .route(
            "/panic",
            get(|| async {
                Body::from_stream(paced(2).chain(stream::once(async { panic!("in the stream") })))
            }),
        )
        .route(
            "/panic-in-handler",
            get(|| async {
                if true {
                    panic!("in the handler")
                }
            }),
        )
        .route("/channel", get(channel))
        .route("/echo", post(|body: Body| async move { body }))
        .route(
            "/shout",
            post(|body: Body| async move {
                Body::from_stream(
                    body.into_data_stream().map(|chunk| chunk.map(|chunk| chunk.to_ascii_uppercase())),
                )
            }),
        )
        .route("/count", post(count))
        .route(
            "/drop",
            post(|body: Body| async move {
                drop(body);
                "dropped"
            }),
        )
        .route("/endless", get(endless))
        .route("/left", get(left))
        .with_state(Left::default())
}

fn paced(count: usize) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    stream::iter(0..count).then(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Bytes::from_static(b"piece "))
    })
}

async fn trickle() -> Body {
    Body::from_stream(paced(8))
}

async fn failing(end: io::Result<Bytes>) -> Body {
    let pause = stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(Bytes::new())
    });
    Body::from_stream(paced(2).chain(pause).chain(stream::once(async { end })))
}

async fn channel() -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<String>>(1);
    tokio::spawn(async move {
        for n in 0..20 {
            if sender.send(Ok(format!("{n}\n"))).await.is_err() {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

async fn count(body: Body) -> String {
    let mut chunks = body.into_data_stream();
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => length += chunk.len(),
            Err(error) => return error.to_string(),
        }
    }
    length.to_string()
}

async fn endless(State(left): State<Left>) -> Body {
    let guard = Guard(left);
    let ticks = stream::repeat_with(|| ()).then(move |()| {
        let _held = &guard;
        async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<_, io::Error>(Bytes::from_static(b"tick "))
        }
    });
    Body::from_stream(ticks)
}

/// Waits until the streams before have ended.
async fn left(State(left): State<Left>) -> String {
    let ended = async {
        loop {
            let more = left.0.1.notified();
            if left.0.0.load(Ordering::SeqCst) >= 2 {
                return;
            }
            tokio::select! {
                () = more => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(8), ended).await.is_ok();
    format!("{all} {}", left.0.0.load(Ordering::SeqCst))
}

pub(crate) fn script() -> Vec<Step> {
    let gets = [
        "/trickle",
        "/error",
        "/error-at-once",
        "/error-declared",
        "/short",
        "/panic",
        "/panic-in-handler",
        "/channel",
    ];
    let bodies = ["", "short", &"m".repeat(200_000)];
    let posts = ["/echo", "/shout", "/count", "/drop"].into_iter();
    let posts = posts.flat_map(|path| {
        bodies.map(|body| send(path).body(body)).into_iter().chain([send(path).chunks(&[
            "one ",
            "two ",
            &"x".repeat(100_000),
        ])])
    });
    let leaving =
        [fetch("/endless").leave_after(20), fetch("/endless").leave_after(20), fetch("/left").as_written()];
    let long = fetch("/long").as_written().http1_only();
    steps(gets.map(fetch).into_iter().chain(posts).chain([long]).chain(leaving))
}
