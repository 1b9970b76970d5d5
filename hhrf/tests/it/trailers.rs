//! Trailers, in both directions.

use bytes::Bytes;
use fezz_testkit::Running;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::wire_host;
use crate::http2::run;

type Body = BoxBody<Bytes, std::convert::Infallible>;

async fn connect(host: &Running) -> SendRequest<Body> {
    let stream = TcpStream::connect(host.address()).await.expect("connected");
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("an HTTP/2 connection");
    tokio::spawn(connection);
    sender
}

fn request(host: &Running, method: &str, path: &str, body: Body) -> http::Request<Body> {
    let uri = format!("http://{}/rpc/wire@1.0.0/{path}", host.address());
    http::Request::builder().method(method).uri(uri).header("te", "trailers").body(body).expect("a request")
}

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    pairs.iter().copied().map(field).collect()
}

fn trailed(data: &'static str, trailers: HeaderMap) -> Body {
    Full::new(Bytes::from_static(data.as_bytes())).with_trailers(async { Some(Ok(trailers)) }).boxed()
}

#[test]
fn trailers_of_responses_arrive_over_http_2() {
    let host = &wire_host().start();
    run(async {
        let mut sender = connect(host).await;
        for (path, data, sum) in [
            ("trailers/known", "trailed", "7"),
            ("trailers/unknown", "trailed", "7"),
            ("forbidden-trailers", "x", "1"),
        ] {
            let answer =
                sender.send_request(request(host, "GET", path, Body::default())).await.expect("an answer");
            assert_eq!(answer.headers()["trailer"], "x-sum");
            let whole = answer.into_body().collect().await.expect("a body");
            assert_eq!(whole.trailers().expect("trailers"), &fields(&[("x-sum", sum)]));
            assert_eq!(whole.to_bytes(), data);
        }
    });
}

#[test]
fn trailers_of_responses_arrive_over_http_1_where_the_client_takes_them() {
    let host = &wire_host().start();
    let get = |kind, te| {
        format!("GET /rpc/wire@1.0.0/trailers/{kind} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{te}\r\n")
    };
    let answer = host.raw(get("unknown", "te: trailers\r\n").as_bytes());
    assert!(answer.ends_with("\r\n7\r\ntrailed\r\n0\r\nx-sum: 7\r\n\r\n"), "{answer}");
    let answer = host.raw(get("unknown", "").as_bytes());
    assert!(answer.ends_with("\r\n7\r\ntrailed\r\n0\r\n\r\n"), "{answer}");
    // There is no place for them behind a body with a length.
    let answer = host.raw(get("known", "te: trailers\r\n").as_bytes());
    assert!(answer.contains("content-length: 7") && answer.ends_with("\r\n\r\ntrailed"), "{answer}");
}

#[test]
fn trailers_of_requests_reach_the_function() {
    let host = &wire_host().start();
    run(async {
        let mut sender = connect(host).await;
        let body = trailed("data", fields(&[("x-a", "1"), ("x-b", "2"), ("content-length", "9")]));
        let answer = sender.send_request(request(host, "POST", "received", body)).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let seen: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(seen["trailers"], json!([["x-a", "1"], ["x-b", "2"]]));
        assert_eq!(seen["length"], 4);
    });
    let chunked = "POST /rpc/wire@1.0.0/received HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-c: 3\r\n\r\n";
    let answer = host.raw(chunked.as_bytes());
    assert!(answer.contains(r#""trailers":[["x-c","3"]]"#), "{answer}");
}

/// Each piece comes back before the next one is sent, and the trailers come back at the end.
#[test]
fn both_directions_stream_at_once() {
    let host = &wire_host().start();
    run(async {
        let mut sender = connect(host).await;
        let (send, receive) = tokio::sync::mpsc::unbounded_channel();
        let frames = futures_util::stream::unfold(
            receive,
            |mut receive: tokio::sync::mpsc::UnboundedReceiver<_>| async {
                receive.recv().await.map(|frame| (Ok(frame), receive))
            },
        );
        let body = StreamBody::new(frames).boxed();
        let answer = sender.send_request(request(host, "POST", "mirror", body)).await.expect("an answer");
        let mut body = answer.into_body();
        for piece in ["one", "two", "three"] {
            send.send(http_body::Frame::data(Bytes::from(piece))).expect("the host reads");
            let frame = body.frame().await.expect("a frame").expect("no error");
            assert_eq!(frame.into_data().expect("data"), piece);
        }
        send.send(http_body::Frame::trailers(fields(&[("x-last", "yes")]))).expect("the host reads");
        drop(send);
        let frame = body.frame().await.expect("a frame").expect("no error");
        assert_eq!(frame.into_trailers().expect("trailers"), fields(&[("x-last", "yes")]));
        assert!(body.frame().await.is_none());
    });
}
