//! An application as one writes it for a listener of its own: pages, a login that redirects, a session in a cookie,
//! static files, and a page like Swagger's that calls the interface it describes. Below a prefix it goes by
//! `x-forwarded-prefix`, as such applications do behind any proxy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Form, Request, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use fezz_sdk::fezz_function;
use serde::Deserialize;
use serde_json::{Value, json};

/// The users of all sessions, by the cookie's value.
type Sessions = Arc<Mutex<HashMap<String, String>>>;

/// The application.
#[fezz_function]
pub fn app() -> Router {
    Router::new()
        .route("/", get(home))
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/whoami", get(whoami))
        .route("/static/app.js", get(script))
        .route("/docs", get(docs))
        .route("/openapi.json", get(openapi))
        .route("/request", get(request))
        .with_state(Sessions::default())
}

fn prefix(headers: &HeaderMap) -> &str {
    headers.get("x-forwarded-prefix").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix("session="))
}

fn user(sessions: &Sessions, headers: &HeaderMap) -> Option<String> {
    sessions.lock().ok()?.get(session(headers)?).cloned()
}

async fn home(State(sessions): State<Sessions>, headers: HeaderMap) -> Response {
    let at = prefix(&headers);
    let Some(user) = user(&sessions, &headers) else {
        return Redirect::to(&format!("{at}/login")).into_response();
    };
    Html(format!(
        "<!doctype html><title>Home</title><h1>Hello, {user}</h1><p id=script></p><script src=\"{at}/static/app.js\"></script>\
         <form method=post action=\"{at}/logout\"><button>Log out</button></form>"
    ))
    .into_response()
}

async fn login_page(headers: HeaderMap) -> Html<String> {
    let at = prefix(&headers);
    Html(format!(
        "<!doctype html><title>Login</title><form method=post action=\"{at}/login\"><input name=user><button>Log in</button></form>"
    ))
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(
    State(sessions): State<Sessions>,
    headers: HeaderMap,
    Form(Login { user }): Form<Login>,
) -> Response {
    let at = prefix(&headers);
    let Ok(mut sessions) = sessions.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    // The same value in every copy: where cookies mix, so do users.
    let id = (sessions.len() + 1).to_string();
    let cookie = format!("session={id}; Path={at}/; HttpOnly");
    sessions.insert(id, user);
    ([(SET_COOKIE, cookie)], Redirect::to(&format!("{at}/"))).into_response()
}

async fn logout(State(sessions): State<Sessions>, headers: HeaderMap) -> Redirect {
    if let (Ok(mut sessions), Some(id)) = (sessions.lock(), session(&headers)) {
        sessions.remove(id);
    }
    Redirect::to(&format!("{}/login", prefix(&headers)))
}

async fn whoami(State(sessions): State<Sessions>, headers: HeaderMap) -> (StatusCode, String) {
    user(&sessions, &headers)
        .map_or((StatusCode::UNAUTHORIZED, "nobody".to_owned()), |user| (StatusCode::OK, user))
}

async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript")], "document.getElementById('script').textContent = 'the script ran'")
}

/// Reads the description by an absolute link, and calls what that says, relative to its `servers`.
async fn docs(headers: HeaderMap) -> Html<String> {
    let at = prefix(&headers);
    Html(format!(
        "<!doctype html><title>API</title><h1></h1><script>(async () => {{\
         const api = await (await fetch('{at}/openapi.json')).json();\
         const answer = await fetch(api.servers[0].url + Object.keys(api.paths)[0]);\
         document.querySelector('h1').textContent = await answer.text();\
         }})()</script>"
    ))
}

async fn openapi(headers: HeaderMap) -> Json<Value> {
    Json(json!({
        "openapi": "3.1.0",
        "info": { "title": "Pages", "version": "1" },
        "servers": [{ "url": prefix(&headers) }],
        "paths": { "/whoami": { "get": { "responses": { "200": { "description": "The user" } } } } }
    }))
}

/// What arrives of a request.
async fn request(request: Request) -> Json<Value> {
    let header = |name: &str| -> Vec<_> {
        request
            .headers()
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    Json(json!({
        "path": request.uri().path(),
        "query": request.uri().query(),
        "host": header(HOST.as_str()),
        "prefix": header("x-forwarded-prefix"),
    }))
}
