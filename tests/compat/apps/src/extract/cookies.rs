//! Cookies: plain, signed and encrypted jars.

use axum::Router;
use axum::extract::FromRef;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use axum_extra::extract::cookie::{Cookie, CookieJar, Key, PrivateCookieJar, SameSite, SignedCookieJar};

use crate::Setup;
use crate::script::{Step, get as fetch, steps};

#[derive(Clone)]
struct App(Key);

impl FromRef<App> for Key {
    fn from_ref(app: &App) -> Self {
        app.0.clone()
    }
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/set", get(|jar: CookieJar| async move { (jar.add(Cookie::new("plain", "1")), "set") }))
        .route("/set-many", get(set_many))
        .route("/read", get(read))
        .route(
            "/remove",
            get(|jar: CookieJar| async move { (jar.remove(Cookie::from("plain")), Redirect::to("/read")) }),
        )
        .route(
            "/signed/set",
            get(|jar: SignedCookieJar| async move { (jar.add(Cookie::new("signed", "trusted")), "set") }),
        )
        .route(
            "/signed/read",
            get(|jar: SignedCookieJar| async move {
                jar.get("signed").map_or("none".into(), |cookie| cookie.value().to_owned())
            }),
        )
        .route(
            "/private/set",
            get(|jar: PrivateCookieJar| async move { (jar.add(Cookie::new("private", "secret")), "set") }),
        )
        .route(
            "/private/read",
            get(|jar: PrivateCookieJar| async move {
                jar.get("private").map_or("none".into(), |cookie| cookie.value().to_owned())
            }),
        )
        .with_state(App(Key::from(&[7; 64])))
}

async fn set_many(jar: CookieJar) -> impl IntoResponse {
    let full = Cookie::build(("full", "a b;c"))
        .path("/app")
        .domain("example.com")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Strict);
    let parsed = Cookie::parse("aged=1; Max-Age=3600; Path=/").expect("a cookie");
    (jar.add(full).add(parsed).add(Cookie::new("second", "2")).add(Cookie::new("third", "")), "set")
}

async fn read(jar: CookieJar) -> String {
    let mut cookies: Vec<_> = jar.iter().map(Cookie::to_string).collect();
    cookies.sort();
    cookies.join("\n")
}

pub(crate) fn script() -> Vec<Step> {
    let many = fetch("/set-many").any_order("set-cookie");
    let sets = ["/set", "/read", "/signed/set", "/remove", "/signed/read", "/private/read"].map(fetch);
    let private = fetch("/private/set").random("set-cookie");
    let given = [
        "plain=1",
        "a=1; b=2; c=3",
        "a=1;b=2",
        "a=\"quoted\"",
        "a=caf%C3%A9",
        "=x",
        "a",
        "a==b=",
        "a=1; a=2",
        "signed=trusted",
    ];
    let read = ["/read", "/signed/read", "/private/read", "/remove", "/set"].into_iter();
    let read = read.flat_map(|path| given.map(|cookie| fetch(path).header("cookie", cookie)));
    let twice = fetch("/read").header("cookie", "a=1").header("cookie", "b=2");
    steps(sets.into_iter().chain([many, private]).chain(read).chain([twice]))
}
