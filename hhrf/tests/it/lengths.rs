//! `content-length`, which crosses every border: from the function through its worker to the client, and back.

use std::io::Read;

use fezz_testkit::Running;
use http_body_util::BodyExt;

use super::wire_host;
use crate::http2::{connect, request_to, run};

/// The head and the body of an answer to a request that is sent by hand, on a connection of its own.
#[track_caller]
fn ask(host: &Running, method: &str, path: &str, version: &str) -> (String, String) {
    let close = if version == "1.1" { "connection: close\r\n" } else { "" };
    let request = format!("{method} /rpc/wire@1.0.0/{path} HTTP/{version}\r\nhost: x\r\n{close}\r\n");
    let answer = host.raw(request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
    (head.to_owned(), body.to_owned())
}

fn length(head: &str) -> Option<&str> {
    head.lines().find_map(|line| line.strip_prefix("content-length: "))
}

const KNOWN: [(&str, usize); 9] = [
    ("json", 7),
    ("text", 4),
    ("empty", 0),
    ("file", 100_000),
    ("frames/0", 0),
    ("frames/5", 15),
    ("frames/1000", 3_000),
    ("large/70000", 70_000),
    ("declared/12/3/4", 12),
];

#[test]
fn a_known_length_is_on_the_wire() {
    let host = &wire_host().start();
    for version in ["1.0", "1.1"] {
        for (path, expected) in KNOWN {
            let (head, body) = ask(host, "GET", path, version);
            assert_eq!(length(&head), Some(&*expected.to_string()), "{path}, HTTP/{version}: {head}");
            assert_eq!(body.len(), expected, "{path}, HTTP/{version}");
            let (head, body) = ask(host, "HEAD", path, version);
            assert!(head.contains(" 200 ") && body.is_empty(), "{path}: {head}");
            let sent = length(&head);
            assert!(sent.is_none_or(|length| length == expected.to_string()), "HEAD {path}: {head}");
            assert!(sent.is_some() || expected == 0, "HEAD {path}: {head}");
        }
    }
    assert_eq!(length(&ask(host, "HEAD", "own-head", "1.1").0), Some("4"));
    let range = host.request("GET", "/rpc/wire@1.0.0/file", &[("range", "bytes=10-29")], b"");
    assert_eq!(range.assert_status(206).header("content-length"), Some("20"));
    assert_eq!((range.body.len(), range.header("content-range")), (20, Some("bytes 10-29/100000")));
}

#[test]
fn a_known_length_is_on_the_wire_of_http_2() {
    let host = &wire_host().start();
    run(async {
        let (mut sender, connection) = connect(host).await;
        tokio::spawn(connection);
        for (path, expected) in KNOWN {
            for method in ["GET", "HEAD"] {
                let request = request_to(host, method, &format!("wire@1.0.0/{path}"), String::new());
                let answer = sender.send_request(request).await.expect("an answer");
                let sent = answer.headers().get("content-length").cloned();
                let body = answer.into_body().collect().await.expect("a body").to_bytes();
                assert!(sent.is_some() || expected == 0, "{method} {path} has no length");
                let is_right = sent.as_ref().is_none_or(|sent| *sent == expected.to_string());
                assert!(is_right, "{method} {path}: {sent:?}");
                assert_eq!(body.len(), if method == "GET" { expected } else { 0 }, "{method} {path}");
            }
        }
    });
}

#[test]
fn an_unknown_length_is_chunked_or_ends_with_the_connection() {
    let host = &wire_host().start();
    let (head, body) = ask(host, "GET", "stream", "1.1");
    assert!(head.contains("transfer-encoding: chunked") && length(&head).is_none(), "{head}");
    assert!(body.ends_with("0\r\n\r\n"), "{body}");
    let (head, body) = ask(host, "GET", "stream", "1.0");
    assert!(!head.contains("transfer-encoding") && length(&head).is_none(), "{head}");
    assert_eq!(body, "pppppppppppp");
    let (head, _) = ask(host, "HEAD", "stream", "1.1");
    assert_eq!(length(&head), None, "{head}");
}

#[test]
fn an_http_1_0_connection_is_kept_only_where_the_client_asks_and_the_length_is_known() {
    use std::io::Write;

    let host = &wire_host().start();
    let mut client = host.connect();
    let request = "GET /rpc/wire@1.0.0/text HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        client.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\ntext") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("an answer on a connection that is kept");
            answer.push(char::from(byte[0]));
        }
        assert!(answer.contains("connection: keep-alive"), "{answer}");
    }
    // The end of a stream is that of the connection, whatever the client asked for.
    client.write_all(b"GET /rpc/wire@1.0.0/stream HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").expect("sent");
    let mut rest = String::new();
    client.read_to_string(&mut rest).expect("the connection ends");
    assert!(rest.ends_with("\r\n\r\npppppppppppp"), "{rest}");
}

#[test]
fn a_stream_is_held_to_its_declared_length() {
    let host = &wire_host().start();
    for (path, found) in [
        ("declared/12/3/3", "fewer"),
        ("declared/12/0/0", "fewer"),
        ("declared/12/1/13", "more"),
        // The excess is in a piece of its own.
        ("declared/12/4/4", "more"),
        ("declared/0/1/1", "more"),
    ] {
        let mut client = host.connect();
        let request = format!(
            "GET /rpc/wire@1.0.0/{path} HTTP/1.1\r\nhost: x\r\nx-request-id: {}\r\n\r\n",
            path.replace('/', "-")
        );
        std::io::Write::write_all(&mut client, request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        let end = client.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(end.is_err(), "{path}: {text}");
        assert!(text.split_once("\r\n\r\n").is_none_or(|(_, body)| body.len() < 12), "{path}: {text}");
        let line = host.wait_for_log(|line| line.field("request_id") == path.replace('/', "-"));
        assert!(line.message().contains("content-length") && line.message().contains(found), "{line:?}");
        assert_eq!(line.field("function"), "wire@1.0.0");
    }
    run(async {
        let (mut sender, connection) = connect(host).await;
        tokio::spawn(connection);
        for path in ["declared/12/3/3", "declared/12/4/4"] {
            let request = request_to(host, "GET", &format!("wire@1.0.0/{path}"), String::new());
            // The reset may overtake the head.
            if let Ok(answer) = sender.send_request(request).await {
                assert!(answer.into_body().collect().await.is_err(), "{path} ended as if it were whole");
            }
        }
        let request = request_to(host, "GET", "wire@1.0.0/text", String::new());
        assert_eq!(sender.send_request(request).await.expect("the connection lives").status(), 200);
    });
    for path in ["declared/x/1/1", "declared/-1/1/1", "declared/99999999999999999999/1/1"] {
        host.get(&format!("/rpc/wire@1.0.0/{path}")).assert_problem(502);
    }
}

#[test]
fn the_real_length_of_a_whole_body_wins() {
    let host = &wire_host().start();
    for declared in ["3", "5", "99", "0", "x"] {
        let (head, body) = ask(host, "GET", &format!("wrong/{declared}"), "1.1");
        assert_eq!((length(&head), &*body), (Some("5"), "hello"), "{declared}: {head}");
    }
    for status in ["204", "304"] {
        let (head, body) = ask(host, "GET", &format!("status/{status}"), "1.1");
        assert!(head.contains(status) && body.is_empty() && length(&head).is_none(), "{head}, {body}");
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
    assert_eq!(ask(host, "GET", "status/418", "1.1").1, "body");
}

#[test]
fn the_function_sees_the_length_that_the_client_sent() {
    let host = &wire_host().start();
    let lengths = [0, 1, 70_000, 1_500_000];
    for length in lengths {
        let seen = host.request("POST", "/rpc/wire@1.0.0/received", &[], &vec![b'x'; length]).json();
        assert_eq!((&seen["hint"], &seen["length"]), (&length.into(), &length.into()), "{seen}");
    }
    // The connection of a long body that is not read ends, so that it is the last one.
    for length in lengths {
        let seen = host.request("POST", "/rpc/wire@1.0.0/size", &[], &vec![b'x'; length]).json();
        assert_eq!((&seen["hint"], &seen["header"]), (&length.into(), &length.to_string().into()), "{seen}");
        assert_eq!(seen["is_end"], length == 0, "{seen}");
    }
    let chunked = b"POST /rpc/wire@1.0.0/size HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = host.raw(chunked);
    assert!(answer.ends_with(r#"{"header":null,"hint":null,"is_end":false}"#), "{answer}");
}
