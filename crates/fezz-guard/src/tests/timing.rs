//! The two time limits, on a clock that stands still until everyone waits for it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

use super::{SLOW, bodies, connect, parse_bodies};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";

/// Reads one answer's body.
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

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_dropped() {
    let accepted = Instant::now();
    let (mut client, server) = connect();
    assert!(bodies(&mut client).await.is_empty());
    server.await.unwrap();
    assert_elapsed(accepted, HEADER);
}

#[tokio::test(start_paused = true)]
async fn slow_heads_are_answered() {
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
async fn an_idle_connection_ends_quietly() {
    let (mut client, server) = connect();
    sleep(Duration::from_secs(4)).await;
    for pause in [0, 74, 30] {
        sleep(Duration::from_secs(pause)).await;
        client.write_all(GET).await.unwrap();
        assert_eq!(body(&mut client).await, "GET /a 0");
    }
    let answered = Instant::now();
    assert!(bodies(&mut client).await.is_empty());
    server.await.unwrap();
    assert_elapsed(answered, IDLE);
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_does_not_begin_a_head() {
    let (mut client, _server) = connect();
    client.write_all(GET).await.unwrap();
    assert_eq!(body(&mut client).await, "GET /a 0");
    client.write_all(b"\r\n").await.unwrap();
    let answered = Instant::now();
    assert!(bodies(&mut client).await.is_empty());
    assert_elapsed(answered, IDLE);
}

#[tokio::test(start_paused = true)]
async fn a_later_head_has_its_time_from_its_first_byte() {
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
async fn a_long_call_is_not_idleness() {
    let (mut client, server) = connect();
    let begun = Instant::now();
    client.write_all(GET_SLOW).await.unwrap();
    assert_eq!(body(&mut client).await, "GET /slow 0");
    assert_elapsed(begun, SLOW);
    sleep(Duration::from_secs(74)).await;
    client.write_all(GET).await.unwrap();
    assert_eq!(body(&mut client).await, "GET /a 0");
    let answered = Instant::now();
    assert!(bodies(&mut client).await.is_empty());
    server.await.unwrap();
    assert_elapsed(answered, IDLE);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_not_timed_here() {
    let (mut client, _server) = connect();
    client.write_all(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1").await.unwrap();
    sleep(Duration::from_secs(300)).await;
    client.write_all(b"2").await.unwrap();
    assert_eq!(body(&mut client).await, "POST /a 2");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_stops_behind_a_long_call_is_answered_after_it() {
    let (mut client, _server) = connect();
    let begun = Instant::now();
    client.write_all(&[GET_SLOW, &GET[..9]].concat()).await.unwrap();
    assert_eq!(bodies(&mut client).await, ["GET /slow 0", "HeadTimeout"]);
    assert_elapsed(begun, SLOW);
}
