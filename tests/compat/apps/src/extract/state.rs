//! `State`, its parts, `Extension`, and what they share over calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use axum::extract::rejection::ExtensionRejection;
use axum::extract::{FromRef, State};
use axum::routing::{get, post};
use axum::{Extension, Router};

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, steps};

#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

#[derive(Clone, FromRef)]
struct App {
    counter: Counter,
    names: Arc<RwLock<Vec<String>>>,
    title: &'static str,
}

#[derive(Clone)]
struct Greeting(String);

#[derive(Clone)]
struct Missing;

pub(crate) fn router(_: &Setup) -> Router {
    let state = App { counter: Counter::default(), names: Arc::default(), title: "state" };
    let nested = Router::new().route("/title", get(|State(title): State<&'static str>| async move { title }));
    Router::new()
        .route("/count", post(count))
        .route("/names", get(names).post(name))
        .route("/whole", get(|State(app): State<App>| async move { app.title }))
        .route("/greeting", get(|Extension(greeting): Extension<Greeting>| async move { greeting.0 }))
        .route("/missing", get(|Extension(_): Extension<Missing>| async { "there" }))
        .route("/option", get(|missing: Option<Extension<Missing>>| async move { missing.is_some().to_string() }))
        .route("/result", get(|missing: Result<Extension<Missing>, ExtensionRejection>| async move { missing.map(|_| "there") }))
        .nest("/nested", nested)
        .layer(Extension(Greeting("hello".into())))
        .with_state(state)
}

async fn count(State(counter): State<Counter>) -> String {
    counter.0.fetch_add(1, Ordering::SeqCst).to_string()
}

async fn name(State(names): State<Arc<RwLock<Vec<String>>>>, name: String) -> String {
    let mut names = names.write().expect("no writer panics");
    names.push(name);
    names.len().to_string()
}

async fn names(State(names): State<Arc<RwLock<Vec<String>>>>) -> String {
    names.read().expect("no writer panics").join(", ")
}

pub(crate) fn script() -> Vec<Step> {
    let counts = (0..10).map(|_| send("/count"));
    let names =
        ["ada", "grace", "edsger"].into_iter().flat_map(|name| [send("/names").body(name), fetch("/names")]);
    let others = [
        "/whole",
        "/greeting",
        "/missing",
        "/option",
        "/result",
        "/nested/title",
        "/nested",
        "/nested/",
        "/count",
    ]
    .map(fetch);
    steps(counts.chain(names).chain(others).chain([send("/count"), fetch("/names")]))
}
