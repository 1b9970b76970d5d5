//! A plain application for requests that only bytes can express: framing, pipelining, odd heads.
//!
//! It does not tell of `connection`, which the host keeps to itself: the application `parts` has that difference.

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::routing::any;

use crate::Setup;
use crate::script::{Step, raw};

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/echo", any(|body: Bytes| async move { body }))
        .route("/ignore", any(|| async { "ignored" }))
        .route(
            "/head",
            any(|request: Request| async move {
                let headers = request
                    .headers()
                    .iter()
                    .filter(|(name, _)| *name != "x-request-id" && *name != "connection");
                let headers: String = headers.map(|(name, value)| format!("{name}: {value:?}\n")).collect();
                format!("{} {} {:?}\n{headers}", request.method(), request.uri(), request.version())
            }),
        )
}

pub(crate) fn script() -> Vec<Step> {
    [sequences(), bodies(), heads(), targets()].concat()
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n{more}\r\n")
}

fn post(path: &str, more: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a\r\n{more}\r\n{body}")
}

const CLOSE: &str = "connection: close\r\n";
const CHUNKED: &str = "transfer-encoding: chunked\r\n";
const BOTH: &str = "transfer-encoding: chunked\r\nconnection: close\r\n";

/// Several requests on a connection, and requests in pieces.
fn sequences() -> Vec<Step> {
    let last = get("/head", CLOSE);
    vec![
        raw("pipelined", &[&format!("{}{}{last}", get("/head", ""), get("/ignore", ""))]),
        raw(
            "pipelined with bodies",
            &[&format!(
                "{}{}{last}",
                post("/echo", "content-length: 3\r\n", "abc"),
                post("/echo", CHUNKED, "2\r\nde\r\n0\r\n\r\n")
            )],
        ),
        raw(
            "pipelined behind an unread body",
            &[&format!("{}{last}", post("/ignore", "content-length: 3\r\n", "abc"))],
        ),
        raw("in pieces", &["GE", "T /head HT", "TP/1.1\r\nho", "st: a\r\nconnection: close\r", "\n\r", "\n"]),
        raw(
            "a body in pieces",
            &[&post("/echo", &format!("content-length: 6\r\n{CLOSE}"), "ab"), "cd", "ef"],
        ),
        raw("chunks in pieces", &[&post("/echo", BOTH, "3\r"), "\nabc\r\n", "2\r\nde\r\n0\r\n", "\r\n"]),
        raw("empty lines in front", &[&format!("\r\n\r\n{last}")]),
        raw("kept alive, then closed", &[&get("/head", ""), &last]),
    ]
}

/// Versions, lengths and chunks.
fn bodies() -> Vec<Step> {
    vec![
        raw("1.0", &["GET /head HTTP/1.0\r\n\r\n"]),
        raw(
            "1.0 keep-alive",
            &["GET /head HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /head HTTP/1.0\r\n\r\n"],
        ),
        raw("1.0 with a body", &["POST /echo HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc"]),
        raw("1.0 chunked", &[&format!("POST /echo HTTP/1.0\r\n{CHUNKED}\r\n3\r\nabc\r\n0\r\n\r\n")]),
        raw("1.2", &["GET /head HTTP/1.2\r\nhost: a\r\nconnection: close\r\n\r\n"]),
        raw("2.0", &["GET /head HTTP/2.0\r\nhost: a\r\n\r\n"]),
        raw("0.9", &["GET /head\r\n\r\n"]),
        raw("no line", &["\r\n\r\n\r\n", "nonsense\r\n\r\n"]),
        raw(
            "length and chunked",
            &[&post("/echo", &format!("content-length: 3\r\n{BOTH}"), "3\r\nabc\r\n0\r\n\r\n")],
        ),
        raw(
            "two lengths",
            &[&post("/echo", &format!("content-length: 3\r\ncontent-length: 4\r\n{CLOSE}"), "abc")],
        ),
        raw(
            "the same length twice",
            &[&post("/echo", &format!("content-length: 3\r\ncontent-length: 3\r\n{CLOSE}"), "abc")],
        ),
        raw("a length of +3", &[&post("/echo", &format!("content-length: +3\r\n{CLOSE}"), "abc")]),
        raw("a length of x", &[&post("/echo", &format!("content-length: x\r\n{CLOSE}"), "abc")]),
        raw(
            "gzip, chunked",
            &[&post(
                "/echo",
                &format!("transfer-encoding: gzip, chunked\r\n{CLOSE}"),
                "3\r\nabc\r\n0\r\n\r\n",
            )],
        ),
        raw("identity", &[&post("/echo", &format!("transfer-encoding: identity\r\n{CLOSE}"), "")]),
        raw("bad chunk size", &[&post("/echo", BOTH, "x\r\nabc\r\n0\r\n\r\n")]),
        raw("chunk too long", &[&post("/echo", BOTH, "2\r\nabc\r\n0\r\n\r\n")]),
        raw("large chunk size", &[&post("/echo", BOTH, "fffffffffffffffff\r\nabc")]),
        raw("chunk extension", &[&post("/echo", BOTH, "3;name=\"v\"\r\nabc\r\n0\r\n\r\n")]),
        raw("chunk size with zeroes", &[&post("/echo", BOTH, "0003\r\nabc\r\n000\r\n\r\n")]),
    ]
}

/// Heads: names, values, their number and size.
fn heads() -> Vec<Step> {
    let last = get("/head", CLOSE);
    vec![
        raw("two hosts", &["GET /head HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n"]),
        raw("no host", &["GET /head HTTP/1.1\r\nconnection: close\r\n\r\n"]),
        raw("empty host", &["GET /head HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n"]),
        raw("bad host", &["GET /head HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n"]),
        raw("space before the colon", &[&get("/head", &format!("x-a : b\r\n{CLOSE}"))]),
        raw("folded header", &[&get("/head", &format!("x-a: b\r\n c\r\n{CLOSE}"))]),
        raw("no colon", &[&get("/head", &format!("nonsense\r\n{CLOSE}"))]),
        raw("empty name", &[&get("/head", &format!(": b\r\n{CLOSE}"))]),
        raw("bare line feeds", &["GET /head HTTP/1.1\nhost: a\nconnection: close\n\n"]),
        raw("NUL in a value", &[&get("/head", &format!("x-a: b\0c\r\n{CLOSE}"))]),
        raw("tab in a value", &[&get("/head", &format!("x-a: b\tc\r\n{CLOSE}"))]),
        raw("empty values", &[&get("/head", &format!("x-a:\r\nx-b: \r\n{CLOSE}"))]),
        raw("many headers", &[&get("/head", &format!("{}{CLOSE}", "x-a: b\r\n".repeat(90)))]),
        raw("too many headers", &[&get("/head", &format!("{}{CLOSE}", "x-a: b\r\n".repeat(101)))]),
        raw("long header", &[&get("/head", &format!("x-a: {}\r\n{CLOSE}", "b".repeat(20_000)))]),
        raw("long target", &[&format!("GET /head?{} HTTP/1.1\r\nhost: a\r\n{CLOSE}\r\n", "q".repeat(7000))]),
        raw("two spaces", &["GET  /head HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"]),
        raw("trailing space", &["GET /head HTTP/1.1 \r\nhost: a\r\nconnection: close\r\n\r\n"]),
        raw("connection: x-a", &[&get("/head", "connection: x-a, close\r\nx-a: b\r\n")]),
        raw("keep-alive and close", &[&get("/head", "connection: keep-alive\r\nconnection: close\r\n")]),
        raw(
            "expect something else",
            &[&post("/echo", &format!("content-length: 3\r\nexpect: miracles\r\n{CLOSE}"), "abc")],
        ),
        raw(
            "100-continue with the body",
            &[&post("/echo", &format!("content-length: 3\r\nexpect: 100-continue\r\n{CLOSE}"), "abc")],
        ),
        raw(
            "100-continue chunked",
            &[&post("/echo", &format!("expect: 100-continue\r\n{BOTH}"), ""), "3\r\nabc\r\n0\r\n\r\n"],
        ),
        raw(
            "100-continue, 1.0",
            &["POST /echo HTTP/1.0\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n", "abc"],
        ),
        raw("100-continue without a body", &[&get("/head", &format!("expect: 100-continue\r\n{CLOSE}"))]),
        raw("HEAD, then GET", &[&format!("HEAD /head HTTP/1.1\r\nhost: a\r\n\r\n{last}")]),
        raw("OPTIONS *", &["OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"]),
    ]
}

/// Targets in the other forms.
fn targets() -> Vec<Step> {
    let forms = [
        ("absolute", "http://b/head"),
        ("absolute, upper case", "HTTP://B/head"),
        ("absolute with a port", "http://b:81/head?q"),
        ("absolute with a user", "http://u@b/head"),
        ("absolute without a path", "http://b"),
        ("authority", "b:80"),
    ];
    let step = |(name, target)| {
        raw(name, &[&format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")])
    };
    forms.map(step).into()
}
