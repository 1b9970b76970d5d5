//! `Form` and `RawForm`, by GET and by POST, and `Form` of axum-extra.

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, RawForm};
use axum::routing::{any, post};
use axum_extra::extract::Form as ManyForm;
use serde::Deserialize;

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, put, steps};

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by its Debug alone")]
struct Login {
    name: String,
    age: Option<u8>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by its Debug alone")]
struct Choice {
    #[serde(default)]
    item: Vec<String>,
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/form", any(|Form(login): Form<Login>| async move { format!("{login:?}") }))
        .route("/raw", any(|RawForm(bytes): RawForm| async move { bytes }))
        .route("/many", post(|ManyForm(choice): ManyForm<Choice>| async move { format!("{choice:?}") }))
        .route("/result", post(result))
}

async fn result(form: Result<Form<Login>, FormRejection>) -> String {
    match form {
        Ok(Form(login)) => format!("{login:?}"),
        Err(rejection) => format!("{}: {}", rejection.status(), rejection.body_text()),
    }
}

pub(crate) fn script() -> Vec<Step> {
    let bodies = [
        "",
        "name=a",
        "name=a&age=7",
        "name=a+b",
        "name=a%20b",
        "name=caf%C3%A9",
        "name=%FF",
        "age=7",
        "name=a&age=x",
        "name=a&age=256",
        "name=a&name=b",
        "item=1&item=2",
        "=",
        "&&",
        "name",
        "name=a\r\n",
        "{\"name\":\"a\"}",
    ];
    let posts = ["/form", "/raw", "/many", "/result"].into_iter();
    let posts = posts.flat_map(|path| bodies.map(|body| send(path).form(body)));
    let gets = bodies.map(|body| fetch(format!("/form?{}", body.replace(['\r', '\n', '"'], ""))));
    let gets = gets.into_iter().filter(|request| !request.target.contains('{'));
    let types = [
        "text/plain",
        "application/json",
        "application/x-www-form-urlencoded; charset=utf-8",
        "multipart/form-data",
        "nonsense",
        "APPLICATION/X-WWW-FORM-URLENCODED",
        "",
    ];
    let types = types
        .into_iter()
        .flat_map(|kind| ["/form", "/raw", "/result"].map(|path| send(path).typed(kind, "name=a")));
    let more = [
        send("/form").body("name=a"),
        send("/form"),
        put("/form").form("name=a"),
        send("/form").form("name=a").header("content-type", "text/plain"),
        send("/form").header("content-type", "application/x-www-form-urlencoded").chunks(&["na", "me=", "a"]),
        send("/raw").header("content-type", "application/x-www-form-urlencoded").chunks(&["a", "b", "c"]),
        fetch("/raw?a=b"),
        fetch("/raw"),
    ];
    steps(posts.chain(gets).chain(types).chain(more))
}
