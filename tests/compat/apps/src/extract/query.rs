//! `Query`, `RawQuery`, and those of axum-extra.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, RawQuery};
use axum::http::Uri;
use axum::routing::get;
use axum_extra::extract::{OptionalQuery, Query as ManyQuery};
use serde::Deserialize;

use crate::Setup;
use crate::script::{Step, get as fetch, steps};

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by its Debug alone")]
struct Page {
    page: u32,
    size: Option<u32>,
    #[serde(default)]
    sort: String,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by its Debug alone")]
struct Tags {
    #[serde(default)]
    tag: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read by its Debug alone")]
struct Strict {
    only: bool,
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/page", get(|Query(page): Query<Page>| async move { format!("{page:?}") }))
        .route("/strict", get(|Query(strict): Query<Strict>| async move { format!("{strict:?}") }))
        .route("/map", get(|Query(map): Query<BTreeMap<String, String>>| async move { format!("{map:?}") }))
        .route(
            "/pairs",
            get(|Query(pairs): Query<Vec<(String, String)>>| async move { format!("{pairs:?}") }),
        )
        .route("/raw", get(|RawQuery(query): RawQuery| async move { format!("{query:?}") }))
        .route("/uri", get(|uri: Uri| async move { format!("{:?} {:?}", uri.path(), uri.query()) }))
        .route("/many", get(|ManyQuery(tags): ManyQuery<Tags>| async move { format!("{tags:?}") }))
        .route(
            "/optional",
            get(|OptionalQuery(page): OptionalQuery<Page>| async move { format!("{page:?}") }),
        )
        .route("/result", get(result))
        .route(
            "/try",
            get(|uri: Uri| async move { Query::<Page>::try_from_uri(&uri).map(|page| format!("{page:?}")) }),
        )
}

async fn result(query: Result<Query<Page>, QueryRejection>) -> String {
    match query {
        Ok(Query(page)) => format!("{page:?}"),
        Err(rejection) => format!("{}: {}", rejection.status(), rejection.body_text()),
    }
}

pub(crate) fn script() -> Vec<Step> {
    let queries = [
        "",
        "?",
        "?page=1",
        "?page=1&size=2",
        "?size=2",
        "?page=x",
        "?page=-1",
        "?page=1&page=2",
        "?page=1&sort=a+b",
        "?page=1&sort=a%20b",
        "?page=1&sort=caf%C3%A9",
        "?page=1&sort=%FF",
        "?page=1&sort=%",
        "?page=1&sort=%zz",
        "?page",
        "?page=",
        "?=1",
        "?&&page=1&&",
        "?page=1&sort=a=b",
        "?page=1&sort=a%26b",
        "?page=1&sort=a/b?c",
        "?a[]=1",
        "?tag=a&tag=b",
        "?tag=a",
        "?only=true",
        "?only=true&other=1",
        "?a=1#b",
        "??",
        "?%70age=1",
        "?page=%31",
        "?page=1;size=2",
        "?'a'=(b)",
    ];
    let paths =
        ["/page", "/strict", "/map", "/pairs", "/raw", "/uri", "/many", "/optional", "/result", "/try"];
    steps(paths.into_iter().flat_map(|path| queries.map(|query| fetch(format!("{path}{query}")))))
}
