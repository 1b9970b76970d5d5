//! The guard in front of hyper: the responses to valid and invalid requests.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{bodies, connect, parse_bodies};

/// Sends `input` in pieces of different sizes and returns the response bodies until the server closes. The
/// client does not close its half before.
async fn send(input: &[u8]) -> Vec<String> {
    let mut results = Vec::new();
    for piece in [input.len(), 24, 1] {
        let (mut client, server) = connect();
        for bytes in input.chunks(piece) {
            client.write_all(bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
        results.push(bodies(&mut client).await);
        drop(client);
        server.await.unwrap();
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
    results.remove(0)
}

const LAST: &str = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn valid_requests_are_served() {
    assert_eq!(send(LAST.as_bytes()).await, ["GET /last 0"]);
    let one = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let two =
        "POST /b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
    let input = format!("{one}{two}\r\n{one}{LAST}");
    assert_eq!(send(input.as_bytes()).await, ["POST /a 3", "POST /b 4", "POST /a 3", "GET /last 0"]);
}

#[tokio::test]
async fn a_large_body_passes() {
    let body = "0\r\n\r\n".repeat(20_000);
    let head = format!("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let (mut client, _server) = connect();
    client.write_all(format!("{head}{body}{LAST}").as_bytes()).await.unwrap();
    assert_eq!(bodies(&mut client).await, ["POST /a 100000", "GET /last 0"]);
}

#[tokio::test]
async fn an_invalid_request_is_answered_and_ends_the_connection() {
    assert_eq!(send(b"GET / HTTP/1.1\r\n\r\n").await, ["MissingHost"]);
    assert_eq!(send(b"GET / HTTP/1.1\nhost: a\n\n").await, ["BareLf"]);
    assert_eq!(send(b"\x16\x03\x01\x02").await, ["MalformedRequestLine"]);
    assert_eq!(send(b"PRI * HTTP/2.0\r\n\r\nSMTP").await, ["MalformedRequestLine"]);
}

#[tokio::test]
async fn an_invalid_request_is_answered_after_the_valid_ones_before_it() {
    let valid = "POST /valid HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab";
    let invalid =
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let input = format!("{valid}{valid}{invalid}{smuggled}");
    assert_eq!(send(input.as_bytes()).await, ["POST /valid 2", "POST /valid 2", "LengthAndEncoding"]);
}

#[tokio::test]
async fn a_client_may_send_the_replacement_method_itself() {
    let own = "GUARD-REJECTED /own HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(send(format!("{own}{LAST}").as_bytes()).await, ["GUARD-REJECTED /own 0", "GET /last 0"]);
}

#[tokio::test]
async fn an_invalid_chunk_fails_the_body_and_ends_the_connection() {
    let head = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let rest = "3\r\nabc\r\n3\nabc\r\n0\r\n\r\n";
    assert_eq!(send(format!("{head}{rest}{LAST}").as_bytes()).await, ["invalid body"]);
}

#[tokio::test]
async fn http_2_passes() {
    // The preface in two pieces, then an empty SETTINGS frame. The server sends its own and acknowledges this
    // one.
    let (mut client, _server) = connect();
    client.write_all(b"PRI * HT").await.unwrap();
    tokio::task::yield_now().await;
    client.write_all(b"TP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let (mut settings, mut acknowledged) = (false, false);
    while !(settings && acknowledged) {
        let mut header = [0; 9];
        client.read_exact(&mut header).await.unwrap();
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        client.read_exact(&mut vec![0; length]).await.unwrap();
        settings |= header[3] == 4 && header[4] == 0;
        acknowledged |= header[3] == 4 && header[4] == 1;
    }
}

#[tokio::test]
async fn the_connection_ends_when_the_client_closes() {
    for input in ["", "GET / HT", "PRI * HT", "\r\n"] {
        let (mut client, server) = connect();
        client.write_all(input.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert!(parse_bodies(&text).is_empty(), "{input:?}: {text}");
        server.await.unwrap();
    }
}
