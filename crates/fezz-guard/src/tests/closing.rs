//! Over real sockets: a refused client can read why, and many slow ones are closed in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::{bodies, limits, serve};
use crate::Limits;

/// Serves all connections of a new listener and returns its address.
async fn listen(limits: Arc<Limits>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&limits)));
        }
    });
    address
}

/// Sends `head` and then 3 MB that no one wants, as a client that writes first and reads later. With less than the
/// linger takes, the answer must be there in the end.
async fn send_much(head: &str) -> Vec<String> {
    let mut client = TcpStream::connect(listen(limits()).await).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..30 {
        client.write_all(&vec![b'x'; 100_000]).await.unwrap();
        sleep(Duration::from_millis(2)).await;
    }
    sleep(Duration::from_millis(100)).await;
    timeout(Duration::from_secs(5), bodies(&mut client)).await.unwrap()
}

#[tokio::test]
async fn a_refused_client_can_read_why() {
    assert_eq!(send_much("POST / HTTP/1.1\r\ncontent-length: 3000000\r\n\r\n").await, ["MissingHost"]);
}

#[tokio::test]
async fn a_client_whose_body_is_not_wanted_can_read_why() {
    let head = "POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n";
    assert_eq!(send_much(head).await, ["too much"]);
}

#[tokio::test]
async fn a_client_with_a_broken_body_can_read_why() {
    let head = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n";
    assert_eq!(send_much(head).await, ["broken body"]);
}

#[tokio::test]
async fn lingering_ends() {
    let mut client = TcpStream::connect(listen(limits()).await).await.unwrap();
    let begun = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // The answer is complete at once, even for a client that never closes.
    assert_eq!(bodies(&mut client).await, ["MissingHost"]);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    // The socket is dropped within a second: then what is still sent is answered with RST.
    sleep(Duration::from_millis(1200)).await;
    let _ = client.write_all(b"x").await;
    sleep(Duration::from_millis(50)).await;
    assert!(client.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn five_hundred_slow_clients_are_closed_in_time() {
    let limits = Limits { header_timeout: Duration::from_secs(1), ..(*limits()).clone() };
    let address = listen(Arc::new(limits)).await;
    let mut clients = Vec::new();
    for _ in 0..500 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
        clients.push(client);
    }
    let begun = Instant::now();
    for client in &mut clients {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("HeadTimeout"));
    }
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_asked_for_an_upgrade_can_read_why() {
    let upgrade = "host: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n";
    let head = format!("POST /early HTTP/1.1\r\n{upgrade}content-length: 3000000\r\n\r\n");
    assert_eq!(send_much(&head).await, ["too much"]);
    let bad = "POST / HTTP/1.1\r\ncontent-length: 3000000\r\n\r\n";
    let heads = format!("GET /a HTTP/1.1\r\n{upgrade}\r\n{bad}");
    assert_eq!(send_much(&heads).await, ["GET /a 0", "MissingHost"]);
}
