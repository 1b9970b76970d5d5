//! Upgraded connections: WebSockets of an axum router, and functions without a framework.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use fezz_testkit::{Host, Running, c_library, library};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use super::{ISOLATED, bare};
use crate::with_fixture;

const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";

/// Routes of the router.
fn routes() -> Value {
    let upgrades = [
        "/echo",
        "/any",
        "/closing",
        "/crash",
        "/panic",
        "/declined",
        "/unasked",
        "/open",
        "/pid",
        "/headers",
    ];
    let mut routes: Vec<_> =
        upgrades.iter().map(|path| json!({ "path": path, "method": "GET", "upgrade": true })).collect();
    routes.push(json!({ "path": "/echo", "method": "POST" }));
    json!(routes)
}

fn with_router(host: Host, more: &Value) -> Host {
    let mut manifest = json!({ "id": "ws", "version": "latest", "routes": routes() });
    for (key, value) in more.as_object().expect("an object") {
        manifest[key] = value.clone();
    }
    host.deploy("ws@latest", &library("fezz-fixture-upgrade"), manifest)
}

fn router(more: &Value) -> Running {
    with_router(bare(), more).start()
}

fn plain(more: &Value) -> Running {
    let paths = ["/echo", "/sink", "/silent", "/flood/{bytes}", "/plain"];
    let routes: Vec<_> =
        paths.iter().map(|path| json!({ "path": path, "method": "ANY", "upgrade": true })).collect();
    let mut manifest = json!({ "id": "plain", "version": "latest", "routes": routes });
    for (key, value) in more.as_object().expect("an object") {
        manifest[key] = value.clone();
    }
    bare().deploy("plain@latest", &library("fezz-fixture-upgrade-plain"), manifest).start()
}

/// Opens a WebSocket.
#[track_caller]
fn open(host: &Running, path: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{}/rpc/ws/{path}", host.address());
    client(url, host.connect()).expect("a WebSocket").0
}

#[track_caller]
fn echoes(socket: &mut WebSocket<TcpStream>, text: &str) {
    socket.send(Message::text(text)).expect("sent");
    assert_eq!(socket.read().expect("an echo"), Message::text(text));
}

/// Sends the request of an upgrade to `echo`, then `behind`, and returns the response's head and the connection.
#[track_caller]
fn upgrade(host: &Running, path: &str, behind: &[u8]) -> (String, TcpStream) {
    let mut stream = host.connect();
    let head =
        format!("GET /rpc/plain/{path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n");
    stream.write_all(&[head.as_bytes(), behind].concat()).expect("sent");
    (read_head(&mut stream), stream)
}

/// Reads byte by byte: what follows is not HTTP.
#[track_caller]
fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text").to_lowercase()
}

/// The function's sockets that are open, by its own count.
fn open_in_function(host: &Running) -> String {
    host.get("/rpc/ws/open").text().to_owned()
}

#[test]
fn a_router_of_axum_serves_websockets_as_it_is() {
    let host = router(&json!({}));
    for path in ["echo", "any"] {
        let mut socket = open(&host, path);
        for text in ["", "x", &"long ".repeat(100_000)] {
            echoes(&mut socket, text);
        }
        socket.send(Message::binary(vec![7; 3 << 20])).expect("sent");
        assert_eq!(socket.read().expect("an echo"), Message::binary(vec![7; 3 << 20]));
        socket.close(None).expect("a close frame is sent");
        assert!(matches!(socket.read(), Ok(Message::Close(_))));
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)), "the function closes");
    }
    host.until(open_in_function, |open| open == "0");
    host.until(|host| host.status("ws@latest")["upgrades"].clone(), |open| *open == 0);
}

#[test]
fn the_response_switches_protocols_and_no_more() {
    let host = router(&json!({}));
    let mut stream = host.connect();
    let head =
        "GET /rpc/ws/echo HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n";
    stream.write_all(format!("{head}{KEY}\r\n").as_bytes()).expect("sent");
    let head = read_head(&mut stream);
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(
        head.contains("\r\nconnection: upgrade\r\n") && head.contains("\r\nupgrade: websocket\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert!(head.contains("\r\nx-fezz-function: ws@latest\r\n"), "{head}");
}

#[test]
fn what_needs_no_upgrade_gets_none() {
    let host = router(&json!({}));
    // The function's own answers: axum's, for a client that does not ask as it should.
    let echo = |headers: &str| {
        host.raw(&format!("GET /rpc/ws/echo HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes())
    };
    let close = "connection: close\r\n";
    for (headers, reason) in [
        (close.to_owned(), "Connection"),
        (format!("{close}upgrade: websocket\r\n{KEY}"), "Connection"),
        (format!("connection: upgrade, close\r\nupgrade: h2c\r\n{KEY}"), "Connection"),
        (format!("connection: upgrade, close\r\nupgrade: other\r\n{KEY}"), "Upgrade"),
        ("connection: upgrade, close\r\nupgrade: websocket\r\n".to_owned(), "Sec-WebSocket"),
    ] {
        let answer = echo(&headers);
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(reason), "{headers}: {answer}");
    }
    // Harmless where nobody expects it.
    let h2c = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "")];
    host.request("GET", "/rpc/ws/pid", &h2c, b"").assert_status(200);
    host.request("GET", "/rpc/ws/headers", &h2c, b"").assert_status(200).assert_text("- -");
}

#[test]
fn a_route_that_takes_no_upgrade_says_so() {
    let host = router(&json!({}));
    let websocket = [("connection", "upgrade"), ("upgrade", "websocket")];
    let answer = host.request("POST", "/rpc/ws/echo", &websocket, b"");
    answer.assert_status(400);
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("\"upgrade\": true") && detail.contains("/echo"), "{problem}");
    // Others are ignored, as RFC 9110 has it.
    let other = [("connection", "upgrade"), ("upgrade", "h2c")];
    host.request("POST", "/rpc/ws/echo", &other, b"").assert_status(405);
}

#[test]
fn a_declined_upgrade_leaves_the_connection_as_it_was() {
    let host = router(&json!({}));
    let ask = format!(
        "GET /rpc/ws/declined HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n{KEY}\r\n"
    );
    let last = "GET /rpc/ws/headers HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    // Pipelined, and checked as any other.
    let answer = host.raw(format!("{ask}{ask}{last}").as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 403 ").count(), 2, "{answer}");
    assert!(answer.contains("- -") && answer.contains("not you"), "{answer}");
    let answer = host.raw(format!("{ask}GET / HTTP/1.1\r\n\r\n{last}").as_bytes());
    assert!(answer.contains("HTTP/1.1 403 ") && answer.contains("HTTP/1.1 400 "), "{answer}");
    assert!(!answer.contains("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_101_that_nobody_asked_for_is_502() {
    let host = router(&json!({}));
    host.get("/rpc/ws/unasked").assert_status(502);
    host.wait_for_log(|line| line.message().contains("no upgrade was on offer"));
    // With an offer, but the router has made no use of it: its stream is empty, and the connection ends at once.
    let answer = host.raw(
        format!("GET /rpc/ws/unasked HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n{KEY}\r\n")
            .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_request_with_a_body_is_not_upgraded() {
    let host = plain(&json!({}));
    let head = "POST /rpc/plain/plain HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: echo\r\n";
    let answer = host.raw(format!("{head}content-length: 3\r\n\r\nabc").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("not offered"), "{answer}");
    let answer = host.raw(format!("{head}\r\n").as_bytes());
    assert!(answer.ends_with("\r\n\r\noffered"), "{answer}");
}

#[test]
fn bytes_before_the_101_are_the_new_protocols() {
    let host = plain(&json!({}));
    let early = b"\0\r\n\r\nGET / HTTP/1.1\r\n\r\n".repeat(2000);
    let (head, mut stream) = upgrade(&host, "echo", &early);
    assert!(head.starts_with("http/1.1 101 ") && head.contains("\r\nupgrade: echo\r\n"), "{head}");
    stream.write_all(b"late").expect("sent");
    stream.shutdown(Shutdown::Write).expect("half-closed");
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("all of it comes back");
    assert!(back == [&early, &b"late"[..]].concat(), "{} bytes came back", back.len());
}

#[test]
fn each_half_closes_on_its_own() {
    let host = plain(&json!({}));
    // The client's: what was counted comes back.
    let (_, mut stream) = upgrade(&host, "sink", b"12345");
    stream.shutdown(Shutdown::Write).expect("half-closed");
    let mut counted = String::new();
    stream.read_to_string(&mut counted).expect("the count");
    assert_eq!(counted, "5");
    if ISOLATED {
        // In a worker the connection ends with the function's half.
        return;
    }
    // The function's: the client may still send.
    let (_, mut stream) = upgrade(&host, "flood/3", b"");
    let mut flood = Vec::new();
    stream.read_to_end(&mut flood).expect("the function's half ends");
    assert_eq!(flood, b"xxx");
    stream.write_all(&[0; 100_000]).expect("the client's half is open");
    host.until(|host| host.status("plain@latest")["upgrades"].clone(), |open| *open == 1);
    drop(stream);
    host.until(|host| host.status("plain@latest")["upgrades"].clone(), |open| *open == 0);
}

#[test]
fn no_more_are_open_than_may_be() {
    let host = router(&json!({ "max_upgrades": 2 }));
    let (mut first, second) = (open(&host, "echo"), open(&host, "echo"));
    let refused = client(format!("ws://{}/rpc/ws/echo", host.address()), host.connect());
    let Err(error) = refused else { panic!("a third one was opened") };
    let text = format!("{error:?}");
    assert!(text.contains("503") && text.contains("retry-after"), "{text}");
    // It is the upgrades that are limited.
    host.get("/rpc/ws/pid").assert_status(200);
    echoes(&mut first, "still here");
    drop(second);
    host.until(|host| host.status("ws@latest")["upgrades"].clone(), |open| *open == 1);
    echoes(&mut open(&host, "echo"), "and again");
}

#[test]
fn a_socket_over_which_nothing_passes_is_closed() {
    let host = router(&json!({ "upgrade_idle_ms": 1500 }));
    let mut silent = open(&host, "echo");
    let mut busy = open(&host, "echo");
    silent.get_mut().set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    let closed = loop {
        echoes(&mut busy, "alive");
        match silent.read() {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            other => break other,
        }
    };
    assert!(closed.is_err(), "{closed:?}");
    echoes(&mut busy, "alive");
}

#[test]
fn a_client_that_leaves_or_never_reads_takes_nothing_with_it() {
    let host = plain(&json!({ "upgrade_idle_ms": 1000 }));
    // It neither reads nor closes, and the function has much to say.
    let (_, _unread) = upgrade(&host, "flood/1000000000", b"");
    host.until(|host| host.status("plain@latest")["upgrades"].clone(), |open| *open == 1);
    for _ in 0..50 {
        drop(upgrade(&host, "flood/1000000000", b""));
        drop(upgrade(&host, "echo", b"some"));
        drop(upgrade(&host, "silent", b"some"));
    }
    host.until(|host| host.status("plain@latest")["upgrades"].clone(), |open| *open == 0);
}

#[test]
fn a_panic_in_an_open_socket_ends_that_one() {
    let host = router(&json!({}));
    let (mut other, mut socket) = (open(&host, "echo"), open(&host, "panic"));
    socket.send(Message::text("now")).expect("sent");
    assert!(socket.read().is_err());
    echoes(&mut other, "unharmed");
    host.until(open_in_function, |open| open == "1");
}

/// At the end of the host a function may say goodbye; what has not ended after the grace period is cut.
#[test]
fn the_end_of_the_host_is_told_and_waits_for_its_grace() {
    let host = with_router(bare().env("HHRF_GRACE_MS", "2000"), &json!({})).start();
    let (mut polite, mut stubborn) = (open(&host, "closing"), open(&host, "echo"));
    echoes(&mut polite, "before");
    host.signal(Signal::TERM);
    let Ok(Message::Close(Some(goodbye))) = polite.read() else { panic!("no goodbye") };
    assert_eq!(goodbye.code, CloseCode::Away);
    assert!(matches!(polite.read(), Err(Error::ConnectionClosed)));
    echoes(&mut stubborn, "within the grace period");
    assert!(stubborn.read().is_err(), "it is cut");
}

#[test]
fn a_swap_and_a_hand_over_break_no_socket() {
    let host = with_router(bare().env("HHRF_GRACE_MS", "20000"), &json!({ "env": { "BUILD": "1" } })).start();
    let mut old: Vec<_> = (0..10).map(|_| open(&host, "closing")).collect();
    let serving = host.get("/rpc/ws/pid").text().to_owned();
    // Another setting is another build.
    let folder = host.host().functions().join("ws@latest/fezz.json");
    let manifest = std::fs::read_to_string(&folder).expect("the manifest");
    std::fs::write(&folder, manifest.replace("\"BUILD\":\"1\"", "\"BUILD\":\"2\"")).expect("written");
    host.until(|host| host.status("ws@latest")["deploys"].clone(), |deploys| *deploys == 2);
    for socket in &mut old {
        echoes(socket, "after the swap");
    }
    let mut new = open(&host, "closing");
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    for socket in old.iter_mut().chain([&mut new]) {
        let Ok(Message::Close(Some(goodbye))) = socket.read() else { panic!("no goodbye") };
        assert_eq!(goodbye.code, CloseCode::Away);
    }
    host.until(|host| host.get_anew("/rpc/ws/pid").text().to_owned(), |pid| *pid != serving);
    echoes(&mut open(&host, "echo"), "in the new process");
}

#[test]
fn a_crash_in_an_open_socket_names_the_function() {
    if ISOLATED {
        return;
    }
    let host = with_fixture(with_router(bare(), &json!({}))).start();
    let (mut other, mut socket) = (open(&host, "echo"), open(&host, "crash"));
    echoes(&mut other, "before");
    // Nor is it the function that was called last.
    host.get("/rpc/fix/ping").assert_status(200);
    socket.send(Message::text("now")).expect("sent");
    assert!(socket.read().is_err() && other.read().is_err(), "both are cut");
    let crash = host.wait_for_log(|line| line.message().contains("crashed"));
    assert_eq!(crash.field("function"), "ws@latest", "{crash:?}");
    echoes(&mut open(&host, "echo"), "again");
}

/// Its header is the committed one of that version.
#[test]
fn a_function_built_for_abi_1_0_is_served_and_offered_no_upgrade() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/abi_1_0");
    let host = bare();
    std::fs::copy(format!("{folder}/fezz.h"), host.root().join("fezz.h")).expect("copied");
    let source = std::fs::read_to_string(format!("{folder}/fixture.c")).expect("the source");
    let library = c_library(host.root(), "built_for_1_0", &source);
    let route = |path: &str| json!({ "path": path, "method": "ANY", "upgrade": true });
    let routes = json!([route("/answer"), route("/stream")]);
    let manifest = json!({ "id": "old", "version": "1.0.0", "routes": routes });
    let host = host.deploy("old@1.0.0", &library, manifest).start();
    host.get("/rpc/old/answer").assert_status(200).assert_text("no upgrade");
    host.wait_for_log(|line| line.message() == "built for 1.0");
    host.get("/rpc/old/stream").assert_status(200).assert_text("in a stream");
    host.request("POST", "/rpc/old/answer", &[], b"some").assert_status(200).assert_text("a body");
    let websocket = [("connection", "upgrade"), ("upgrade", "websocket")];
    host.request("GET", "/rpc/old/answer", &websocket, b"").assert_status(200).assert_text("no upgrade");
}

/// Two workers, a socket each.
#[test]
fn a_crash_of_a_worker_cuts_its_sockets_alone_and_is_named() {
    if ISOLATED {
        return;
    }
    let isolation = json!({ "isolation": "process", "workers": { "max": 2 }, "worker_concurrency": 1 });
    let host = router(&isolation);
    let (mut other, mut socket) = (open(&host, "echo"), open(&host, "crash"));
    echoes(&mut other, "before");
    socket.send(Message::text("now")).expect("sent");
    assert!(socket.read().is_err());
    echoes(&mut other, "unharmed");
    let crashes = host.until(
        |host| host.status("ws@latest")["isolation"]["last_crashes"].clone(),
        |crashes| crashes.as_array().is_some_and(|crashes| !crashes.is_empty()),
    );
    assert!(crashes[0]["what"].as_str().unwrap_or_default().contains("SIGABRT"), "{crashes}");
    assert_eq!(crashes[0]["request_ids"].as_array().map(Vec::len), Some(1), "{crashes}");
}

/// As browsers open WebSockets on a connection that speaks HTTP/2 already (RFC 8441).
#[test]
fn http_2_opens_websockets_beside_requests() {
    let host = &router(&json!({}));
    let test = async {
        let stream = tokio::net::TcpStream::connect(host.address()).await.expect("connected");
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("an HTTP/2 connection");
        tokio::spawn(connection);
        let uri = |path: &str| format!("http://{}/rpc/ws/{path}", host.address());
        let get = |path: &str| http::Request::get(uri(path)).body(Empty::<Bytes>::new()).expect("a request");
        // With its answer, the client knows that the server takes extended CONNECTs.
        assert_eq!(sender.send_request(get("headers")).await.expect("an answer").status(), 200);
        let mut sockets = Vec::new();
        for path in ["echo", "any", "echo"] {
            let mut connect = http::Request::connect(uri(path)).body(Empty::new()).expect("a request");
            connect.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
            connect.headers_mut().insert("sec-websocket-version", http::HeaderValue::from_static("13"));
            let response = sender.send_request(connect).await.expect("an answer");
            assert_eq!(response.status(), 200);
            assert!(!response.headers().contains_key("sec-websocket-accept"), "{:?}", response.headers());
            let upgraded = TokioIo::new(hyper::upgrade::on(response).await.expect("it is upgraded"));
            sockets.push(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await);
        }
        for socket in &mut sockets {
            for text in ["x".to_owned(), "long ".repeat(100_000)] {
                socket.send(Message::text(text.clone())).await.expect("sent");
                assert_eq!(socket.next().await.expect("open").expect("an echo"), Message::text(text));
            }
        }
        let open = sender.send_request(get("open")).await.expect("an answer");
        assert_eq!(open.into_body().collect().await.expect("a body").to_bytes(), "3");
        // Each ends on its own.
        sockets.remove(1).close(None).await.expect("closed");
        drop(sockets.remove(0));
        host.until(|host| host.status("ws@latest")["upgrades"].clone(), |open| *open == 1);
        let mut last = sockets.remove(0);
        last.send(Message::text("last")).await.expect("sent");
        assert_eq!(last.next().await.expect("open").expect("an echo"), Message::text("last"));
        // What is refused is so on HTTP/2 too.
        let mut refused = http::Request::connect(uri("nowhere")).body(Empty::new()).expect("a request");
        refused.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        assert_eq!(sender.send_request(refused).await.expect("an answer").status(), 404);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let limited = async { tokio::time::timeout(Duration::from_secs(30), test).await };
    runtime.block_on(limited).expect("it ends in time");
}

#[test]
fn open_sockets_outlive_an_eviction() {
    let host =
        with_router(bare().env("HHRF_CACHE_IDLE_MS", "200").env("HHRF_CACHE_SWEEP_MS", "50"), &json!({}));
    let host = host.start();
    let mut socket = open(&host, "echo");
    host.until(|host| host.status("ws@latest")["library"].clone(), |library| *library == "idle");
    echoes(&mut socket, "after the eviction");
    echoes(&mut open(&host, "echo"), "loaded again");
    echoes(&mut socket, "beside the new one");
}

#[test]
fn metrics_tell_of_open_sockets_and_their_bytes() {
    let host = router(&json!({}));
    let mut socket = open(&host, "echo");
    echoes(&mut socket, "12345");
    let metrics = host.admin("/metrics");
    // A frame has 2 bytes before its text, and a client's mask 4 more.
    for (name, value) in [
        ("fezz_upgrades_open", 1),
        ("fezz_upgrades_total", 1),
        ("fezz_upgrade_received_bytes_total", 11),
        ("fezz_upgrade_sent_bytes_total", 7),
    ] {
        let line = format!("{name}{{function=\"ws\",version=\"latest\"}} {value}\n");
        assert!(metrics.text().contains(&line), "no {line} in {}", metrics.text());
    }
}
