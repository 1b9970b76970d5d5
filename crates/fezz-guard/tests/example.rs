//! The example server over TCP: valid and invalid requests, and how the connection ends.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

#[path = "../examples/bare_hyper.rs"]
#[expect(dead_code, reason = "the tests bind the listener, which the example's main does for a process")]
mod bare_hyper;

use std::io::ErrorKind;

use fezz_guard::Violation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ECHO: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
const LAST: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Starts the example's server and connects to it.
async fn connect() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(bare_hyper::serve(listener));
    TcpStream::connect(address).await.unwrap()
}

/// Sends `input` and reads until the server closes. The client keeps its half open.
async fn send(input: &str) -> String {
    let mut client = connect().await;
    client.write_all(input.as_bytes()).await.unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

/// Sends `input` between two valid requests. The first is served, `input` gets `status` and the violation's
/// message, and then the server closes.
async fn assert_rejected(input: &str, status: &str, violation: Violation) {
    let text = send(&format!("{ECHO}{input}{LAST}")).await;
    let (first, second) = text.split_once("abc").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{input:?}: {text}");
    assert!(second.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{input:?}: {text}");
    assert!(second.ends_with(violation.message()), "{input:?}: {text}");
}

#[tokio::test]
async fn valid_requests_are_echoed() {
    let text = send(&format!("{ECHO}{LAST}")).await;
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
    assert_eq!(text.matches("abc").count(), 1, "{text}");
}

#[tokio::test]
async fn length_and_encoding_are_rejected() {
    let input =
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_rejected(input, "400 Bad Request", Violation::LengthAndEncoding).await;
}

#[tokio::test]
async fn two_hosts_are_rejected() {
    let input = "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n";
    assert_rejected(input, "400 Bad Request", Violation::RepeatedHost).await;
}

#[tokio::test]
async fn a_bare_lf_is_rejected() {
    assert_rejected("GET / HTTP/1.1\nhost: a\n\n", "400 Bad Request", Violation::BareLf).await;
}

#[tokio::test]
async fn limits_have_their_own_status() {
    let headers = "a: b\r\n".repeat(100);
    let input = format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    assert_rejected(&input, "431 Request Header Fields Too Large", Violation::TooManyHeaders).await;
}

/// The response to an invalid body ends early: the client gets a reset, not the end of a complete response.
#[tokio::test]
async fn a_truncated_response_is_a_reset() {
    let mut client = connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(format!("{head}3\r\nabc\r\n").as_bytes()).await.unwrap();
    // The response has begun.
    client.readable().await.unwrap();
    client.write_all(b"invalid\r\n").await.unwrap();
    let mut text = Vec::new();
    let error = client.read_to_end(&mut text).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{}", text.escape_ascii());
}

/// The README shows a part of the example.
#[test]
fn the_readme_shows_the_example() {
    let readme = include_str!("../README.md");
    let code = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(include_str!("../examples/bare_hyper.rs").contains(code), "{code}");
}
