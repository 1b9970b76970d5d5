//! Head, idle and write timeouts, and the end of a lingering close, on tokio's paused clock.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

use super::{SLOW, bodies, connect, parse_bodies};
use crate::linger;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";

/// Reads one response and returns its body.
async fn body(client: &mut DuplexStream) -> String {
    let mut buf = vec![0; 4096];
    let count = client.read(&mut buf).await.unwrap();
    parse_bodies(std::str::from_utf8(&buf[..count]).unwrap()).join("")
}

/// Whether `since` was `expected` ago, to a few milliseconds.
#[track_caller]
fn assert_elapsed(since: Instant, expected: Duration) {
    let elapsed = since.elapsed();
    assert!(
        elapsed >= expected && elapsed < expected + Duration::from_millis(20),
        "{elapsed:?}, not {expected:?}"
    );
}

const HEADER: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(75);
const WRITE: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends_after_the_head_timeout() {
    let accepted = Instant::now();
    let (mut client, server) = connect();
    assert!(bodies(&mut client).await.is_empty());
    server.await.unwrap();
    assert_elapsed(accepted, HEADER);
}

#[tokio::test(start_paused = true)]
async fn slow_heads_are_rejected() {
    for input in [&GET[..20], b"P", b"PRI * HTTP/2.0\r\n\r\nSM", b"\r"] {
        let accepted = Instant::now();
        let (mut client, server) = connect();
        for byte in input {
            client.write_all(&[*byte]).await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(bodies(&mut client).await, ["HeadTimeout"]);
        server.await.unwrap();
        assert_elapsed(accepted, HEADER);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_without_a_response() {
    let (mut client, server) = connect();
    sleep(Duration::from_secs(4)).await;
    for pause in [0, 74, 30] {
        sleep(Duration::from_secs(pause)).await;
        client.write_all(GET).await.unwrap();
        assert_eq!(body(&mut client).await, "GET /a 0");
    }
    let responded = Instant::now();
    assert!(bodies(&mut client).await.is_empty());
    server.await.unwrap();
    assert_elapsed(responded, IDLE);
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_does_not_start_the_head_timeout() {
    let (mut client, _server) = connect();
    client.write_all(GET).await.unwrap();
    assert_eq!(body(&mut client).await, "GET /a 0");
    client.write_all(b"\r\n").await.unwrap();
    let responded = Instant::now();
    assert!(bodies(&mut client).await.is_empty());
    assert_elapsed(responded, IDLE);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_later_head_starts_with_its_first_byte() {
    let (mut client, _server) = connect();
    client.write_all(GET).await.unwrap();
    assert_eq!(body(&mut client).await, "GET /a 0");
    sleep(Duration::from_secs(60)).await;
    client.write_all(&GET[..5]).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    client.write_all(&GET[5..]).await.unwrap();
    assert_eq!(body(&mut client).await, "GET /a 0");

    sleep(Duration::from_secs(40)).await;
    let begun = Instant::now();
    client.write_all(&GET[..5]).await.unwrap();
    assert_eq!(bodies(&mut client).await, ["HeadTimeout"]);
    assert_elapsed(begun, HEADER);
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_does_not_run_during_a_request() {
    let (mut client, server) = connect();
    let begun = Instant::now();
    client.write_all(GET_SLOW).await.unwrap();
    assert_eq!(body(&mut client).await, "GET /slow 0");
    assert_elapsed(begun, SLOW);
    sleep(Duration::from_secs(74)).await;
    client.write_all(GET).await.unwrap();
    assert_eq!(body(&mut client).await, "GET /a 0");
    let responded = Instant::now();
    assert!(bodies(&mut client).await.is_empty());
    server.await.unwrap();
    assert_elapsed(responded, IDLE);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_no_timeout() {
    let (mut client, _server) = connect();
    client.write_all(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1").await.unwrap();
    sleep(Duration::from_secs(300)).await;
    client.write_all(b"2").await.unwrap();
    assert_eq!(body(&mut client).await, "POST /a 2");
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_head_behind_a_long_request_is_rejected_after_it() {
    let (mut client, _server) = connect();
    let begun = Instant::now();
    client.write_all(&[GET_SLOW, &GET[..9]].concat()).await.unwrap();
    assert_eq!(bodies(&mut client).await, ["GET /slow 0", "HeadTimeout"]);
    assert_elapsed(begun, SLOW);
}

#[tokio::test(start_paused = true)]
async fn many_slow_heads_are_rejected_at_the_same_time() {
    let accepted = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..500 {
        let (mut client, _server) = connect();
        client.write_all(&GET[..20]).await.unwrap();
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(bodies(client).await, ["HeadTimeout"]);
    }
    assert_elapsed(accepted, HEADER);
}

#[tokio::test(start_paused = true)]
async fn a_lingering_close_ends_without_the_client() {
    let (mut client, server) = connect();
    let begun = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // The response is complete at once, although the client does not close.
    assert_eq!(bodies(&mut client).await, ["MissingHost"]);
    assert_elapsed(begun, Duration::ZERO);
    server.await.unwrap();
    assert_elapsed(begun, linger::MAX_TIME);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let begun = Instant::now();
    let (mut client, server) = connect();
    client.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.await.unwrap();
    assert_elapsed(begun, WRITE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_served() {
    let begun = Instant::now();
    let (mut client, _server) = connect();
    client.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let (mut count, mut buf) = (0, vec![0; 64 * 1024]);
    loop {
        sleep(WRITE - Duration::from_secs(1)).await;
        match client.read(&mut buf).await.unwrap() {
            0 => break,
            read => count += read,
        }
    }
    assert!(count > 1_000_000, "{count}");
    assert!(begun.elapsed() > 2 * WRITE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_shuts_down_its_half_is_asked_and_answered() {
    for (request, asked) in [(GET, false), (GET_SLOW, true)] {
        let (mut client, server) = connect();
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert_eq!(response.starts_with("HTTP/1.1 100 Continue\r\n\r\n"), asked, "{response}");
        assert!(response.contains("HTTP/1.1 200 OK\r\n") && response.ends_with(" 0"), "{response}");
        server.await.unwrap();
    }
}
