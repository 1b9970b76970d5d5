//! `Path` in all its forms, and `RawPathParams`.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawPathParams};
use axum::routing::get;
use serde::Deserialize;

use crate::Setup;
use crate::script::{Step, get as fetch, steps};

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by its Debug alone")]
struct Place {
    user: u32,
    team: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Green,
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/text/{value}", get(|Path(value): Path<String>| async move { value }))
        .route("/number/{value}", get(|Path(value): Path<i16>| async move { value.to_string() }))
        .route("/colour/{value}", get(|Path(value): Path<Colour>| async move { format!("{value:?}") }))
        .route("/flag/{value}", get(|Path(value): Path<bool>| async move { value.to_string() }))
        .route("/char/{value}", get(|Path(value): Path<char>| async move { value.to_string() }))
        .route("/pair/{a}/{b}", get(|Path((a, b)): Path<(String, u8)>| async move { format!("{a} {b}") }))
        .route("/one-of-two/{a}/{b}", get(|Path(a): Path<String>| async move { a }))
        .route("/struct/{user}/{team}", get(|Path(place): Path<Place>| async move { format!("{place:?}") }))
        .route(
            "/map/{a}/{b}",
            get(|Path(map): Path<BTreeMap<String, String>>| async move { format!("{map:?}") }),
        )
        .route(
            "/list/{a}/{b}/{c}",
            get(|Path(list): Path<Vec<(String, String)>>| async move { format!("{list:?}") }),
        )
        .route("/rest/{*rest}", get(|Path(rest): Path<String>| async move { rest }))
        .route(
            "/deep/{id}/{*rest}",
            get(|Path((id, rest)): Path<(u32, String)>| async move { format!("{id}: {rest}") }),
        )
        .route("/raw/{a}/{b}", get(raw))
        .route("/none", get(|Path(()): Path<()>| async { "unit" }))
        .route("/missing", get(|Path(value): Path<String>| async move { value }))
        .route("/option", get(|path: Option<Path<String>>| async move { format!("{path:?}") }))
        .route("/option/{value}", get(|path: Option<Path<u8>>| async move { format!("{path:?}") }))
        .route("/result/{value}", get(result))
        .route("/prefix-{value}", get(|Path(value): Path<String>| async move { value }))
        .route("/caf%C3%A9", get(|| async { "encoded" }))
        .route("/a b", get(|| async { "with a space" }))
        .route("/{{literal}}", get(|| async { "braces" }))
}

async fn raw(params: RawPathParams) -> String {
    params.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

async fn result(path: Result<Path<u8>, PathRejection>) -> String {
    match path {
        Ok(Path(value)) => value.to_string(),
        Err(rejection) => format!("{}: {}", rejection.status(), rejection.body_text()),
    }
}

pub(crate) fn script() -> Vec<Step> {
    let targets = [
        "/text/plain",
        "/text/a%20b",
        "/text/caf%C3%A9",
        "/text/a%2Fb",
        "/text/a+b",
        "/text/%E2%82%AC",
        "/text/%FF",
        "/text/",
        "/text",
        "/text/a/",
        "/text/a;b=c",
        "/text/a,b",
        "/text/a:b@c",
        "/text/~a",
        "/text/%7Ea",
        "/text/a%25b",
        "/text/a%2525",
        "/text/%00",
        "/text/a%0Ab",
        "/text/..",
        "/text/%2e%2e",
        "/text/a%3Fb",
        "/text/a%23b",
        "/text/a?b=c",
        "/text/a?",
        "/text/*",
        "/text/'a'",
        "/text/(a)",
        "/text/!$&",
        "/text/a=b",
        "/text/%",
        "/text/%zz",
        "/text/a\"b",
        "/text/a|b",
        "/text/a{b}",
        "/text/a^b",
        "/text/a`b",
        "/text/[a]",
        "/text/a%5Cb",
        "//text/a",
        "/text//a",
        "/./text/a",
        "/number/7",
        "/number/-7",
        "/number/+7",
        "/number/99999",
        "/number/x",
        "/number/7.5",
        "/number/%37",
        "/colour/red",
        "/colour/green",
        "/colour/blue",
        "/flag/true",
        "/flag/yes",
        "/char/x",
        "/char/%C3%A9",
        "/char/xy",
        "/pair/a/1",
        "/pair/a/256",
        "/pair/a%20b/1",
        "/pair/a",
        "/pair/a/1/2",
        "/one-of-two/a/b",
        "/struct/7/red",
        "/struct/x/red",
        "/struct/7/caf%C3%A9",
        "/map/1/2",
        "/map/%41/%42",
        "/list/1/2/3",
        "/rest/a",
        "/rest/a/b/c",
        "/rest/a//b",
        "/rest/",
        "/rest",
        "/rest/a%2Fb/c",
        "/rest/a/../b",
        "/rest/a/%2e%2e/b",
        "/deep/1/x/y",
        "/deep/x/y",
        "/raw/a%20b/c",
        "/raw/%FF/c",
        "/none",
        "/missing",
        "/option",
        "/option/1",
        "/option/x",
        "/result/1",
        "/result/x",
        "/result/%FF",
        "/prefix-abc",
        "/prefix-",
        "/prefix-a%20b",
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/a b",
        "/a%20b",
        "/{literal}",
        "/%7Bliteral%7D",
        "/nowhere",
        "/",
        "/TEXT/a",
    ];
    steps(targets.map(|target| {
        let request = fetch(target);
        // No client of HTTP/2 sends these: their library checks targets.
        if target.contains([' ', '"', '|', '{', '^', '`', '[']) { request.http1_only() } else { request }
    }))
}
