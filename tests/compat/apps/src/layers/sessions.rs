//! Sessions of tower-sessions: a login, a counter, a flash message, the end of the session.

use axum::Router;
use axum::extract::Form;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer};

use crate::Setup;
use crate::script::{Request, Step, get as fetch, post as send, steps};

#[derive(Deserialize)]
struct Login {
    name: String,
}

async fn count(session: Session) -> Result<String, StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let count = session.get::<u32>("count").await.map_err(failed)?.unwrap_or(0) + 1;
    session.insert("count", count).await.map_err(failed)?;
    Ok(count.to_string())
}

async fn login(session: Session, Form(login): Form<Login>) -> Result<Redirect, StatusCode> {
    session.cycle_id().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    session.insert("name", login.name).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Redirect::to("/me"))
}

async fn me(session: Session) -> Response {
    match session.get::<String>("name").await {
        Ok(Some(name)) => format!("hello {name}").into_response(),
        _ => Redirect::to("/login").into_response(),
    }
}

pub(crate) fn router(_: &Setup) -> Router {
    let sessions = SessionManagerLayer::new(MemoryStore::default())
        .with_secure(false)
        .with_same_site(SameSite::Lax)
        .with_name("sid")
        .with_expiry(Expiry::OnSessionEnd);
    Router::new()
        .route("/count", get(count))
        .route("/login", post(login))
        .route("/me", get(me))
        .route(
            "/logout",
            post(|session: Session| async move {
                session
                    .flush()
                    .await
                    .map(|()| Redirect::to("/"))
                    .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
            }),
        )
        .route("/untouched", get(|| async { "no session" }))
        .layer(sessions)
}

/// A request of a browser: the runner keeps its cookies.
fn with_cookies(request: Request) -> Request {
    request.random("set-cookie").header("cookie", "{cookies}").as_written().http1_only()
}

pub(crate) fn script() -> Vec<Step> {
    let visit = [
        fetch("/me"),
        fetch("/count"),
        fetch("/count"),
        fetch("/count"),
        send("/login").form("name=ada"),
        fetch("/me"),
        fetch("/count"),
        fetch("/untouched"),
        send("/logout"),
        fetch("/me"),
        fetch("/count"),
    ];
    let strangers = ["sid=AAAAAAAAAAAAAAAAAAAAAA", "sid=nonsense", "sid="]
        .map(|cookie| fetch("/me").header("cookie", cookie));
    steps(visit.map(with_cookies).into_iter().chain([fetch("/untouched"), fetch("/me")]).chain(strangers))
}
