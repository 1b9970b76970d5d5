//! Lingering close over TCP: a client that is still sending can read the last response.

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::{bodies, serve};

/// Connects to a server for one connection.
async fn connect() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    tokio::spawn(serve(stream));
    client
}

/// Sends `head`, then 3 MB that the server does not want, and reads the responses only then. It sends most of
/// it after the first response has arrived: without a lingering close, the server would have closed by then.
async fn send_much(head: &str) -> Vec<String> {
    const CHUNK: &[u8] = &[b'x'; 100_000];
    let mut client = connect().await;
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(CHUNK).await.unwrap();
    client.readable().await.unwrap();
    for _ in 1..30 {
        client.write_all(CHUNK).await.unwrap();
    }
    bodies(&mut client).await
}

#[tokio::test]
async fn a_rejected_client_can_read_the_response() {
    assert_eq!(send_much("POST / HTTP/1.1\r\ncontent-length: 3000000\r\n\r\n").await, ["MissingHost"]);
}

#[tokio::test]
async fn a_client_whose_body_is_not_read_can_read_the_response() {
    let head = "POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n";
    assert_eq!(send_much(head).await, ["too much"]);
}

#[tokio::test]
async fn a_client_with_an_invalid_body_can_read_the_response() {
    let head = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n";
    assert_eq!(send_much(head).await, ["invalid body"]);
}

#[tokio::test]
async fn a_client_that_asked_for_an_upgrade_can_read_the_response() {
    let upgrade = "host: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n";
    let head = format!("POST /early HTTP/1.1\r\n{upgrade}content-length: 3000000\r\n\r\n");
    assert_eq!(send_much(&head).await, ["too much"]);
    let invalid = "POST / HTTP/1.1\r\ncontent-length: 3000000\r\n\r\n";
    let heads = format!("GET /a HTTP/1.1\r\n{upgrade}\r\n{invalid}");
    assert_eq!(send_much(&heads).await, ["GET /a 0", "MissingHost"]);
}
