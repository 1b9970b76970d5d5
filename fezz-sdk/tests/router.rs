//! An axum application as a function: state, extractors, nesting, layers, fallbacks and streamed bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{MatchedPath, OriginalUri, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use fezz_sdk::Context;
use fezz_sdk::testing::{CallError, TestRequest};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

static BUILT: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Default)]
struct Shared(Arc<AtomicU32>);

#[derive(Deserialize)]
struct Page {
    offset: u32,
}

fn app() -> Router {
    BUILT.fetch_add(1, Ordering::SeqCst);
    let todos = Router::new()
        .route("/", get(|Query(page): Query<Page>| async move { page.offset.to_string() }))
        .route("/{id}", get(todo).put(|Json(value): Json<Value>| async move { Json(value) }));
    Router::new()
        .route("/count", get(|State(shared): State<Shared>| async move {
            shared.0.fetch_add(1, Ordering::SeqCst).to_string()
        }))
        .route("/echo", post(|request: Request| async move { request.into_body() }))
        .route("/stream", get(stream))
        .route("/context", get(|Extension(context): Extension<Context>| async move {
            format!("{} {:?}", context.request_id(), context.variable("KEY"))
        }))
        .route("/panic", get(|| async { panic!("in a handler") as () }))
        .nest("/todos", todos)
        .fallback(|uri: OriginalUri| async move { (StatusCode::NOT_FOUND, format!("nothing at {}", uri.path())) })
        .layer(middleware::from_fn(tag))
        .with_state(Shared::default())
}

async fn todo(Path(id): Path<u64>, matched: MatchedPath) -> String {
    format!("{id} by {}", matched.as_str())
}

async fn tag(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-layer", axum::http::HeaderValue::from_static("seen"));
    response
}

async fn stream() -> impl IntoResponse {
    let pieces = futures_util::stream::iter(0..3).map(|piece| Ok::<_, std::io::Error>(piece.to_string()));
    axum::body::Body::from_stream(pieces)
}

/// One test, so that no other one changes the counts.
#[test]
fn an_axum_application_works_unchanged() {
    TestRequest::get("/count").call(app).assert_text("0");
    TestRequest::get("/count").call(app).assert_text("1");
    TestRequest::get("/todos/7").call(app).assert_text("7 by /todos/{id}");
    TestRequest::get("/todos?offset=3").call(app).assert_text("3");
    TestRequest::get("/todos").call(app).assert_status(400);
    let body = json!({ "title": "t" });
    assert_eq!(TestRequest::put("/todos/7").json(&body).call(app).json(), body);
    TestRequest::put("/todos/7").body("{}").call(app).assert_status(415);
    TestRequest::delete("/todos/7").call(app).assert_status(405);
    let nothing = TestRequest::get("/a%20b?c").call(app);
    assert_eq!(nothing.assert_status(404).assert_text("nothing at /a%20b").header("x-layer"), Some("seen"));
    TestRequest::post("/echo").body("whole").call(app).assert_text("whole");
    TestRequest::post("/echo").body_stream(["in ", "pieces"]).call(app).assert_text("in pieces");
    TestRequest::get("/stream").call(app).assert_text("012");
    let context = TestRequest::get("/context").variable("KEY", "v").request_id("r-1").call(app);
    context.assert_text("r-1 Some(\"v\")");
    assert!(TestRequest::get("/panic").try_call(app).is_err());
    TestRequest::get("/count").call(app).assert_text("2");
    assert_eq!(BUILT.load(Ordering::SeqCst), 1, "built once");

    TestRequest::get("/any").call(|| Plain).assert_text("GET /any");
}

/// An async constructor runs once too, even with concurrent first calls. If its call panics or is cancelled, the next
/// one tries again.
#[test]
fn an_async_constructor_runs_once() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    async fn app() -> Router {
        fezz_sdk::runtime()
            .spawn(async { tokio::time::sleep(Duration::from_millis(30)).await })
            .await
            .expect("it waits");
        let count = MADE.fetch_add(1, Ordering::SeqCst) + 1;
        assert_ne!(count, 1, "the first time");
        Router::new().route("/", get(move || async move { count.to_string() }))
    }
    let cancelled = TestRequest::get("/").timeout(Duration::from_millis(1)).try_call(app);
    assert!(matches!(cancelled, Err(CallError::Deadline)), "{cancelled:?}");
    assert!(matches!(TestRequest::get("/").try_call(app), Err(CallError::Panicked(_))));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| TestRequest::get("/").call(app).assert_text("2").status);
        }
    });
}

/// A tower service that is not a router.
#[derive(Clone)]
struct Plain;

impl tower_service::Service<axum::http::Request<fezz_sdk::Body>> for Plain {
    type Response = axum::http::Response<fezz_sdk::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<fezz_sdk::Body>) -> Self::Future {
        let text = format!("{} {}", request.method(), request.uri());
        std::future::ready(Ok(axum::http::Response::new(text.into())))
    }
}
