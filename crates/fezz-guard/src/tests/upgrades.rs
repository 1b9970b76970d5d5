//! Upgrades: what follows a request for one is held until it is decided.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Duration, sleep};

use super::{bodies, connect, parse_bodies};

const UPGRADE: &str = "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
const DECLINED: &str = "GET /declined HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// What the server sends in answer to `input`, sent in pieces of this size. The client closes its half at the end.
async fn send(input: &[u8], piece: usize) -> Vec<u8> {
    let (mut client, _server) = connect();
    for bytes in input.chunks(piece) {
        client.write_all(bytes).await.unwrap();
        tokio::task::yield_now().await;
    }
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_follows_an_accepted_upgrade_is_not_http() {
    // Bytes that no HTTP/1 message may have, and a request that must not be read as one.
    let other = b"\0\xff\r\n\nGET / HTTP/1.1\r\n\r\n".repeat(3000);
    for piece in [usize::MAX, 1024, 24] {
        let input = [UPGRADE.as_bytes(), &other].concat();
        let answer = send(&input, piece).await;
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer[..head].escape_ascii());
        assert!(answer[head..] == other, "{} of {} bytes came back", answer.len() - head, other.len());
    }
}

#[tokio::test]
async fn a_request_behind_a_declined_upgrade_is_served_and_checked() {
    for piece in [usize::MAX, 24, 1] {
        let input = format!("{DECLINED}{DECLINED}GET /a HTTP/1.1\r\nhost: a\r\n\r\n{LAST}");
        let answer = send(input.as_bytes(), piece).await;
        let answer = String::from_utf8(answer).unwrap();
        let expected = ["GET /declined 0", "GET /declined 0", "GET /a 0", "GET /last 0"];
        assert_eq!(parse_bodies(&answer), expected, "pieces of {piece}");
        let invalid = format!("{DECLINED}GET / HTTP/1.1\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = String::from_utf8(send(invalid.as_bytes(), piece).await).unwrap();
        assert_eq!(parse_bodies(&answer), ["GET /declined 0", "MissingHost"], "pieces of {piece}");
    }
}

#[tokio::test]
async fn a_request_with_a_body_is_not_upgraded() {
    let upgrade = "POST /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n";
    let input = format!("{upgrade}content-length: 3\r\n\r\nabc{UPGRADE}{LAST}");
    let answer = String::from_utf8(send(input.as_bytes(), usize::MAX).await).unwrap();
    let (first, rest) = answer.split_once("POST /upgrade 3").expect("it is answered as any other");
    assert!(first.starts_with("HTTP/1.1 200 ") && rest.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(rest.ends_with(LAST), "what follows the second one is its own: {answer}");
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_has_no_timeouts() {
    let (mut client, _server) = connect();
    client.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut head = vec![0; 4096];
    let count = client.read(&mut head).await.unwrap();
    assert!(head[..count].starts_with(b"HTTP/1.1 101 "));
    sleep(Duration::from_secs(100_000)).await;
    // More than the client's end holds: the server waits to write, for longer than the write timeout.
    let writer = tokio::spawn(async move {
        client.write_all(&[b'x'; 100_000]).await.unwrap();
        sleep(Duration::from_secs(100_000)).await;
        client
    });
    let mut client = writer.await.unwrap();
    client.shutdown().await.unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).await.unwrap();
    assert_eq!(back.len(), 100_000);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_decision_is_noticed() {
    let (mut client, server) = connect();
    client.write_all(UPGRADE.replace("/upgrade", "/slow").as_bytes()).await.unwrap();
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn many_bytes_before_the_decision_wait_in_the_socket() {
    let (mut client, _server) = connect();
    let input = format!("{}{}", DECLINED, "GET /a HTTP/1.1\r\nhost: a\r\n\r\n".repeat(5000));
    let (mut read, mut write) = tokio::io::split(&mut client);
    let send = async {
        write.write_all(input.as_bytes()).await.unwrap();
        write.write_all(LAST.as_bytes()).await.unwrap();
    };
    let (bodies, ()) = tokio::join!(bodies(&mut read), send);
    assert_eq!(bodies.len(), 5002);
}
