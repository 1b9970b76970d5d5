//! `Multipart`: fields, files, and what is wrong with either.

use axum::Router;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, Multipart};
use axum::routing::post;

use crate::Setup;
use crate::script::{Request, Step, get, post as send, steps};

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/fields", post(fields))
        .route("/chunks", post(chunks))
        .route("/option", post(|multipart: Option<Multipart>| async move { multipart.is_some().to_string() }))
        .route("/small", post(fields).layer(DefaultBodyLimit::max(200)))
        .route("/unlimited", post(fields).layer(DefaultBodyLimit::disable()))
}

async fn fields(mut multipart: Multipart) -> Result<String, MultipartError> {
    let mut seen = String::new();
    while let Some(field) = multipart.next_field().await? {
        let (name, file) = (field.name().map(str::to_owned), field.file_name().map(str::to_owned));
        let kind = field.content_type().map(str::to_owned);
        let headers = field.headers().len();
        let length = field.bytes().await?.len();
        seen += &format!("{name:?} {file:?} {kind:?} {headers} {length}\n");
    }
    Ok(seen)
}

async fn chunks(mut multipart: Multipart) -> Result<String, MultipartError> {
    let mut length = 0;
    while let Some(mut field) = multipart.next_field().await? {
        while let Some(chunk) = field.chunk().await? {
            length += chunk.len();
        }
    }
    Ok(length.to_string())
}

fn part(head: &str, body: &str) -> String {
    format!("--limit\r\n{head}\r\n\r\n{body}\r\n")
}

fn form(path: &'static str, parts: &[String]) -> Request {
    typed(path, "multipart/form-data; boundary=limit", &format!("{}--limit--\r\n", parts.concat()))
}

fn typed(path: &'static str, kind: &'static str, body: &str) -> Request {
    send(path).typed(kind, body)
}

pub(crate) fn script() -> Vec<Step> {
    let text = part("Content-Disposition: form-data; name=\"a\"", "1");
    let file = part(
        "Content-Disposition: form-data; name=\"f\"; filename=\"a b.txt\"\r\nContent-Type: text/plain; charset=utf-8",
        "lines\r\nof text",
    );
    let utf8 = part("Content-Disposition: form-data; name=\"é\"; filename=\"é.txt\"", "é");
    let unnamed = part("Content-Disposition: form-data", "x");
    let large = part(
        "Content-Disposition: form-data; name=\"l\"; filename=\"l.bin\"\r\nContent-Type: application/octet-stream",
        &"x".repeat(300_000),
    );
    let huge = part("Content-Disposition: form-data; name=\"h\"", &"x".repeat(3_000_000));
    let mut requests = Vec::new();
    for path in ["/fields", "/chunks", "/option", "/small", "/unlimited"] {
        requests.extend([
            form(path, &[]),
            form(path, std::slice::from_ref(&text)),
            form(path, &[text.clone(), file.clone(), utf8.clone()]),
            form(path, std::slice::from_ref(&unnamed)),
            form(path, &[large.clone(), text.clone()]),
            form(path, std::slice::from_ref(&huge)),
            form(path, &[part("", "no head")]),
            form(path, &[part("X: y", "no name")]),
            typed(path, "multipart/form-data; boundary=limit", &text),
            typed(path, "multipart/form-data; boundary=limit", "--other--\r\n"),
            typed(path, "multipart/form-data; boundary=limit", ""),
            typed(path, "multipart/form-data", &text),
            typed(path, "multipart/mixed; boundary=limit", &text),
            typed(path, "text/plain", &text),
            typed(path, "multipart/form-data; boundary=\"limit\"", &format!("{text}--limit--")),
            send(path),
            get(path),
            send(path).header("content-type", "multipart/form-data; boundary=limit").chunks(&[
                "--li",
                "mit\r\nContent-Disposition: form-data; na",
                "me=\"a\"\r\n\r\n1\r",
                "\n--limit--",
            ]),
        ]);
    }
    steps(requests)
}
