//! An application with pages, sessions and files of its own, written as for a listener: it redirects to `/login`, its
//! cookie is for `/`, and its pages link to `/assets`.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /` | the name of the signed-in user and the number of their visits; without a session a redirect to `/login` |
//! | `GET /login`, `POST /login` | the form, and a session |
//! | `POST /logout` | the end of it |
//! | `GET /assets/…` | style sheet, script, image |

mod session;
mod templates;

use axum::Router;
use axum::extract::{Form, FromRef, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::SignedCookieJar;
use axum_extra::extract::cookie::Key;
use fezz_sdk::fezz_function;
use serde::Deserialize;
use tower_http::services::ServeDir;

use session::Session;
use templates::Templates;

/// What handlers need.
#[derive(Clone)]
struct Pages {
    key: Key,
    templates: Templates,
}

impl FromRef<Pages> for Key {
    fn from_ref(pages: &Pages) -> Self {
        pages.key.clone()
    }
}

/// The application.
///
/// # Errors
/// If its templates are not there.
#[fezz_function]
pub fn app() -> Result<Router, fezz_sdk::FezzError> {
    let pages = Pages { key: session::key(), templates: Templates::read("templates".as_ref())? };
    Ok(Router::new()
        .route("/", get(home))
        .route("/login", get(form).post(login))
        .route("/logout", post(logout))
        .nest_service("/assets", ServeDir::new("assets"))
        .with_state(pages))
}

async fn home(State(pages): State<Pages>, jar: SignedCookieJar) -> Response {
    let Some(mut session) = Session::of(&jar) else { return Redirect::to("/login").into_response() };
    session.visits += 1;
    let page = pages.templates.home(&session.name, session.visits);
    (session.keep(jar), Html(page)).into_response()
}

async fn form(State(pages): State<Pages>) -> Html<String> {
    Html(pages.templates.login())
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

async fn login(jar: SignedCookieJar, Form(Login { name }): Form<Login>) -> (SignedCookieJar, Redirect) {
    (Session { name, visits: 0 }.keep(jar), Redirect::to("/"))
}

async fn logout(jar: SignedCookieJar) -> (SignedCookieJar, Redirect) {
    (Session::end(jar), Redirect::to("/login"))
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;

    use super::*;

    #[test]
    fn a_stranger_is_sent_to_the_form() {
        let answer = TestRequest::get("/").call(app);
        assert_eq!(answer.assert_status(303).header("location"), Some("/login"));
        assert!(TestRequest::get("/login").call(app).assert_status(200).text().contains("Your name"));
    }

    #[test]
    fn a_forged_session_is_none() {
        let answer = TestRequest::get("/").header("cookie", "session=1 root").call(app);
        assert_eq!(answer.assert_status(303).header("location"), Some("/login"));
    }
}
