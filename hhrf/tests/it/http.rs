//! What HTTP clients see.

use std::io::{Read, Write};

use serde_json::json;

use super::{ROUTES, bare, fixture, running};

#[test]
fn without_a_path_a_function_answers_at_its_root() {
    let host = bare()
        .function("root@latest", &fixture(), &[("GET", "/ping"), ("GET", "/")])
        .function("first@1.0.0", &fixture(), &[("POST", "/echo"), ("GET", "/describe"), ("GET", "/ping")])
        .start();
    host.get("/rpc/root@latest").assert_status(200).assert_text("pong");
    host.get("/rpc/root").assert_status(200).assert_text("pong");
    let first = host.get("/rpc/first@1.0.0");
    assert_eq!(first.assert_status(200).json()["route"], "/describe");
    assert_eq!(first.json()["path"], "/describe");
    assert_eq!(host.get("/rpc/first@1.0.0/").assert_status(200).json()["route"], "/describe");
    host.request("POST", "/rpc/first@1.0.0", &[], b"hi").assert_status(200).assert_text("hi");
    host.request("DELETE", "/rpc/first@1.0.0", &[], b"").assert_problem(405);
}

#[test]
fn what_is_not_there_is_404() {
    let host = running();
    for path in
        ["/", "/rpc", "/rpc/", "/rpc/nobody", "/rpc/fix@1.0.0/ping", "/rpc/fix/nothing", "/favicon.ico"]
    {
        host.get(path).assert_problem(404);
    }
}

#[test]
fn methods_are_matched_and_told() {
    let host = bare().function("fix@latest", &fixture(), &[("GET", "/ping"), ("POST", "/echo")]).start();
    let refused = host.request("DELETE", "/rpc/fix/ping", &[], b"");
    assert_eq!(refused.assert_problem(405).header("allow"), Some("GET, HEAD, OPTIONS"));
    let refused = host.get("/rpc/fix/echo");
    assert_eq!(refused.assert_problem(405).header("allow"), Some("POST, OPTIONS"));
    let options = host.request("OPTIONS", "/rpc/fix/ping", &[], b"");
    assert_eq!(options.assert_status(204).header("allow"), Some("GET, HEAD, OPTIONS"));
    let head = host.request("HEAD", "/rpc/fix/ping", &[], b"");
    assert_eq!(head.assert_status(200).header("content-length"), Some("4"));
    assert!(head.body.is_empty());
    host.request("BREW", "/rpc/fix/ping", &[], b"").assert_problem(405);
}

#[test]
fn a_request_arrives_whole() {
    let host = running();
    let answer = host.request(
        "PUT",
        "/rpc/fix@latest/describe/a%20b/c/d%2Fe?x=1&x=%202&y",
        &[("x-twice", "one"), ("x-twice", "two"), ("x-request-id", "mine-1"), ("traceparent", "00-ab-cd-01")],
        b"12345",
    );
    let seen = answer.assert_status(200).json();
    assert_eq!(seen["method"], "PUT");
    assert_eq!(seen["path"], "/describe/a%20b/c/d%2Fe");
    assert_eq!(seen["route"], "/describe/{a}/{*rest}");
    assert_eq!(seen["params"], json!([["a", "a b"], ["rest", "c/d/e"]]));
    assert_eq!(seen["query"], json!([["x", "1"], ["x", " 2"], ["y", ""]]));
    assert_eq!(seen["body_len"], 5);
    assert_eq!(seen["request_id"], "mine-1");
    assert_eq!(seen["traceparent"], "00-ab-cd-01");
    assert_eq!(seen["has_deadline"], true);
    let client: std::net::SocketAddr = seen["client_addr"].as_str().expect("text").parse().expect("address");
    assert!(client.ip().is_loopback());
    let headers = seen["headers"].as_array().expect("headers");
    let twice: Vec<_> = headers.iter().filter(|pair| pair[0] == "x-twice").map(|pair| &pair[1]).collect();
    assert_eq!(twice, ["one", "two"]);
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
}

#[test]
fn the_host_is_that_of_the_target_and_cookies_are_one_header() {
    let host = running();
    let answer = host.raw(
        b"GET http://target:1/rpc/fix/describe HTTP/1.1\r\nhost: other\r\ncookie: a=1\r\ncookie: b=2\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.contains(r#"["host","target:1"]"#) && !answer.contains("other"), "{answer}");
    assert!(answer.contains(r#"["cookie","a=1; b=2"]"#), "{answer}");
}

/// A proxy's rule for `/rpc/fix` would not see it.
#[test]
fn a_functions_name_is_written_in_one_way() {
    let host = running();
    for path in ["/rpc/%66ix/ping", "/rpc/fi%78/ping", "/rpc/fix@%6Catest/ping", "/rpc/%66%69%78"] {
        host.get(path).assert_problem(400);
    }
    host.get("/rpc/fix%40latest/ping").assert_status(200);
}

#[test]
fn queries_are_taken_as_clients_send_them() {
    let host = running();
    let query = r#"f={"a":[1,{}]}&b=|^`[]\'"#;
    let request = format!("GET /rpc/fix/describe?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = host.raw(request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let body = answer.split_once("\r\n\r\n").expect("a head").1;
    let seen: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(seen["query"], json!([["f", r#"{"a":[1,{}]}"#], ["b", r"|^`[]\'"]]));
}

#[test]
fn header_values_may_be_any_bytes() {
    let host = running();
    let answer = host.raw(
        b"POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-echo: caf\xe9\r\nx-echo: b\r\ncontent-length: 3\r\n\r\n\x00\xff\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-echo: caf\u{fffd}\r\nx-echo: b\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n\0\u{fffd}\n"), "{answer}");
}

#[test]
fn binary_bodies_of_any_size_come_back() {
    let host = running();
    for size in [0, 1, 1000, 100_000, 5_000_000] {
        let body: Vec<u8> = (0..size).map(|index: u32| index.to_le_bytes()[index as usize % 3]).collect();
        let answer = host.request("POST", "/rpc/fix/echo", &[("content-type", "x/y")], &body);
        assert!(answer.assert_status(200).body == body, "{size} bytes");
        assert_eq!(answer.header("content-type"), Some("x/y"));
    }
}

#[test]
fn chunked_bodies_are_read() {
    let host = running();
    let answer = host.raw(
        b"POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\ntrailer: t\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nabcdefg"), "{answer}");
}

#[test]
fn hop_by_hop_headers_end_at_the_host() {
    let host = running();
    let answer = host.raw(
        b"GET /rpc/fix/describe HTTP/1.1\r\nhost: x\r\nconnection: close, X-Mine\r\nx-mine: 1\r\nte: gzip\r\nkeep-alive: 5\r\nproxy-authorization: b\r\nupgrade: h2c\r\nx-kept: 1\r\n\r\n",
    );
    for gone in ["connection", "x-mine", "\"te\"", "keep-alive", "proxy-authorization", "upgrade"] {
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        assert!(!body.contains(gone), "{gone}: {body}");
    }
    assert!(answer.contains("x-kept"), "{answer}");

    let answer = host.get("/rpc/fix/hop-by-hop");
    answer.assert_status(200).assert_text("whole");
    for gone in ["connection", "keep-alive", "x-named", "transfer-encoding"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.header("content-length"), Some("5"));
    assert_eq!(answer.header("x-kept"), Some("kept"));
}

#[test]
fn request_ids_are_kept_or_made() {
    let host = running();
    let long = "x".repeat(200);
    for id in ["", "with space", long.as_str()] {
        let made = host.request("GET", "/rpc/fix/ping", &[("x-request-id", id)], b"");
        let made = made.assert_status(200).header("x-request-id").expect("an id").to_owned();
        assert!(made.len() == 32 && made != id, "{id} gave {made}");
    }
    let first = host.get("/rpc/fix/ping").header("x-request-id").expect("an id").to_owned();
    assert_ne!(host.get("/rpc/fix/ping").header("x-request-id"), Some(first.as_str()));
    let kept = host.request("GET", "/rpc/nobody", &[("x-request-id", "kept")], b"");
    assert_eq!(kept.assert_problem(404).json()["request_id"], "kept");
}

#[test]
fn connections_are_kept_alive_and_pipelined() {
    let host = running();
    let mut stream = host.connect();
    let request = "GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{request}{request}{last}").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("closed after the third");
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
}

#[test]
fn statuses_without_content_have_none() {
    let host = running();
    let answer = host.get("/rpc/fix/status/204");
    assert!(answer.assert_status(204).body.is_empty());
    assert_eq!(answer.header("content-length"), None);
    assert!(host.get("/rpc/fix/status/304").assert_status(304).body.is_empty());
    host.get("/rpc/fix/status/418").assert_status(418).assert_text("body");
}

#[test]
fn variables_reach_their_function_only() {
    let host = bare()
        .function_with("one@1.0.0", &fixture(), ROUTES, json!({ "env": { "GREETING": "hello" } }))
        .function_with("two@1.0.0", &fixture(), ROUTES, json!({ "env": { "OTHER": "x" } }))
        .env("GREETING", "the host's")
        .start();
    host.get("/rpc/one@1.0.0/variable").assert_text("hello");
    host.get("/rpc/two@1.0.0/variable").assert_text("unset");
}

#[test]
fn functions_of_one_library_share_no_statics() {
    let host =
        bare().function("one@1.0.0", &fixture(), ROUTES).function("two@1.0.0", &fixture(), ROUTES).start();
    for count in 1..=3 {
        host.get("/rpc/one@1.0.0/calls").assert_text(&count.to_string());
    }
    host.get("/rpc/two@1.0.0/calls").assert_text("1");
}
