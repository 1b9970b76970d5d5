//! HTTP/2 with prior knowledge.

use std::time::Duration;

use bytes::Bytes;
use fezz_testkit::Running;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{ROUTES, async_host, bare, fixture, host, running};

pub(crate) type Client =
    (SendRequest<Full<Bytes>>, Connection<TokioIo<TcpStream>, Full<Bytes>, TokioExecutor>);

pub(crate) async fn connect(host: &Running) -> Client {
    let stream = TcpStream::connect(host.address()).await.expect("connected");
    http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("an HTTP/2 connection")
}

fn request(host: &Running, method: &str, path: &str, body: String) -> http::Request<Full<Bytes>> {
    request_to(host, method, &format!("fix/{path}"), body)
}

pub(crate) fn request_to(
    host: &Running,
    method: &str,
    path: &str,
    body: String,
) -> http::Request<Full<Bytes>> {
    let uri = format!("http://{}/rpc/{path}", host.address());
    http::Request::builder().method(method).uri(uri).body(Full::new(body.into())).expect("a request")
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limited = async { tokio::time::timeout(Duration::from_secs(30), future).await };
    runtime.block_on(limited).expect("it ends in time")
}

#[test]
fn calls_share_a_connection() {
    let host = &running();
    let answers = run(async {
        let (sender, connection) = connect(host).await;
        tokio::spawn(connection);
        let calls = (0..20).map(|index| {
            let mut sender = sender.clone();
            async move {
                let (method, path) = if index % 2 == 0 { ("POST", "echo") } else { ("HEAD", "ping") };
                let request = request(host, method, path, format!("body {index}"));
                let response = sender.send_request(request).await.expect("an answer");
                assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
                response.into_body().collect().await.expect("a body").to_bytes()
            }
        });
        futures_util::future::join_all(calls).await
    });
    for (index, answer) in answers.iter().enumerate() {
        let expected = if index % 2 == 0 { format!("body {index}") } else { String::new() };
        assert_eq!(answer, expected.as_bytes());
    }
}

#[test]
fn a_head_over_the_limits_is_431_with_a_problem_body() {
    let host = &running();
    run(async {
        let (mut sender, connection) = connect(host).await;
        tokio::spawn(connection);
        for (name, count, length) in [("many", 101, 1), ("long", 2, 20_000)] {
            let mut request = request(host, "GET", "ping", String::new());
            for index in 0..count {
                let header = http::HeaderName::try_from(format!("x-{index}")).expect("a name");
                request.headers_mut().insert(header, "a".repeat(length).parse().expect("a value"));
            }
            let response = sender.send_request(request).await.expect("an answer");
            assert_eq!(response.status(), 431, "{name}");
            assert_eq!(response.headers()["content-type"], "application/problem+json", "{name}");
        }
    });
}

/// The other calls of the connection go on.
#[test]
fn streams_end_or_break_off_each_on_its_own() {
    let host = &async_host(serde_json::json!({})).start();
    run(async {
        let (sender, connection) = connect(host).await;
        tokio::spawn(connection);
        let call = |path: &str| {
            let request = request_to(host, "GET", &format!("async@1.0.0/{path}"), String::new());
            let mut sender = sender.clone();
            async move { sender.send_request(request).await }
        };
        for path in ["stream-error", "stream-panic"] {
            // The reset may overtake the head.
            if let Ok(broken) = call(path).await {
                assert!(broken.into_body().collect().await.is_err(), "{path} ended as if it were whole");
            }
        }
        let text = |path| {
            let answer = call(path);
            async move { answer.await.expect("an answer").into_body().collect().await.expect("a body").to_bytes() }
        };
        assert_eq!(text("stream-slow").await, "0\n1\n2\n");
        // A client that drops a stream ends the function's work, and not the connection.
        let mut endless = call("stream-forever").await.expect("an answer").into_body();
        endless.frame().await.expect("it streams").expect("a frame");
        drop(endless);
        while text("alive").await != "0" {}
    });
}

/// Also in worker processes.
#[test]
fn requests_arrive_as_those_of_http_1() {
    let host = &bare()
        .function("fix@latest", &fixture(), ROUTES)
        .function_with("iso@latest", &fixture(), ROUTES, serde_json::json!({ "isolation": "process" }))
        .start();
    run(async {
        let (mut sender, connection) = connect(host).await;
        tokio::spawn(connection);
        for id in ["fix", "iso"] {
            let mut request = request_to(host, "GET", &format!("{id}/describe"), String::new());
            for cookie in ["a=1", "b=2", "c=3"] {
                request.headers_mut().append("cookie", cookie.parse().expect("a value"));
            }
            let answer = sender.send_request(request).await.expect("an answer");
            let body = answer.into_body().collect().await.expect("a body").to_bytes();
            let seen: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            let headers = seen["headers"].as_array().expect("headers");
            let all = |name: &str| -> Vec<_> {
                headers.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].clone()).collect()
            };
            assert_eq!(all("host"), [host.address().to_string()], "{id}");
            assert_eq!(all("cookie"), ["a=1; b=2; c=3"], "{id}");
        }
        let mut request = request(host, "GET", "ping", String::new());
        request.headers_mut().insert("host", "elsewhere".parse().expect("a value"));
        assert_eq!(sender.send_request(request).await.expect("an answer").status(), 400);
    });
}

/// A body that its function does not read holds up no other of the connection.
#[test]
fn uploads_do_not_wait_for_each_other() {
    let host = &async_host(serde_json::json!({ "max_body_bytes": 4 << 20 }))
        .env("HHRF_BODY_TIMEOUT_MS", "400")
        .start();
    run(async {
        let (sender, connection) = connect(host).await;
        tokio::spawn(connection);
        let post = |path: &str, length: usize| {
            let request = request_to(host, "POST", &format!("async@1.0.0/{path}"), "x".repeat(length));
            let mut sender = sender.clone();
            async move { sender.send_request(request).await.expect("an answer").status().as_u16() }
        };
        let slow: Vec<_> = (0..20).map(|_| tokio::spawn(post("upload-late/3000", 2 << 20))).collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        for _ in 0..5 {
            assert_eq!(post("upload", 1024).await, 200);
        }
        for slow in slow {
            assert_eq!(slow.await.expect("no panic"), 200);
        }
    });
}

/// Such a client answers pings, and its connection is alive.
#[test]
fn a_stream_of_which_nothing_is_taken_ends() {
    let host = &async_host(serde_json::json!({})).env("HHRF_WRITE_TIMEOUT_MS", "500").start();
    run(async {
        let (mut sender, connection) = connect(host).await;
        tokio::spawn(connection);
        let mut endless = Vec::new();
        for path in ["async@1.0.0/stream-forever", "fix/stream/1000"] {
            let answer = sender.send_request(request_to(host, "GET", path, String::new())).await;
            endless.push(answer.expect("an answer").into_body());
        }
        loop {
            let request = request_to(host, "GET", "async@1.0.0/alive", String::new());
            let answer = sender.send_request(request).await.expect("the connection lives");
            let alive = answer.into_body().collect().await.expect("a body").to_bytes();
            let in_flight = host.status("fix@latest")["in_flight"].clone();
            if alive == "0" && in_flight == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for body in endless {
            assert!(body.collect().await.is_err(), "it ended as if it were whole");
        }
    });
}

#[test]
fn a_slow_download_is_not_idle() {
    let host = &host().env("HHRF_IDLE_TIMEOUT_MS", "300").start();
    run(async {
        let stream = TcpStream::connect(host.address()).await.expect("connected");
        let mut client = http2::Builder::new(TokioExecutor::new());
        client.initial_stream_window_size(16_384).initial_connection_window_size(16_384);
        let (mut sender, connection): Client =
            client.handshake(TokioIo::new(stream)).await.expect("an HTTP/2 connection");
        tokio::spawn(connection);
        let request = request(host, "POST", "echo", "x".repeat(400_000));
        let mut body = sender.send_request(request).await.expect("an answer").into_body();
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame.expect("it is not cut").into_data().map_or(0, |data| data.len());
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        assert_eq!(received, 400_000);
    });
}

#[test]
fn a_connection_without_calls_ends() {
    let host = &host().env("HHRF_IDLE_TIMEOUT_MS", "200").start();
    run(async {
        let (mut sender, connection) = connect(host).await;
        let connection = tokio::spawn(connection);
        let response =
            sender.send_request(request(host, "GET", "ping", String::new())).await.expect("an answer");
        assert_eq!(response.status(), 200);
        // It is the host that closes: the client holds on to its side, and answers pings.
        let _ = connection.await.expect("no panic");
        assert!(sender.is_closed());
    });
}
