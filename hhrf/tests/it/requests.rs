//! What a function sees of a request, which is what it would see on a listener of its own.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{ISOLATED, running, wire_host};
use crate::http2::{connect, request_to, run};

/// What `/describe` saw of a request that is sent by hand.
#[track_caller]
fn seen(host: &fezz_testkit::Running, request: &str) -> Value {
    let answer = host.raw(request.as_bytes());
    let body = answer.split_once("\r\n\r\n").expect("a head").1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn over_http_1_a_target_is_as_it_was_sent() {
    let host = &running();
    for (target, uri) in [
        ("/rpc/fix/describe", "/describe"),
        ("/rpc/fix/describe?", "/describe?"),
        ("/rpc/fix/describe?a=1&b", "/describe?a=1&b"),
        ("/rpc/fix/describe??", "/describe??"),
        ("http://other.example:81/rpc/fix/describe?q", "http://other.example:81/describe?q"),
        ("https://other.example/rpc/fix/describe", "https://other.example/describe"),
        ("/rpc/fix/describe/a%2Fb/c%20d", "/describe/a%2Fb/c%20d"),
    ] {
        let seen = seen(
            host,
            &format!("GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", host.address()),
        );
        assert_eq!((&seen["uri"], &seen["version"]), (&uri.into(), &"HTTP/1.1".into()), "{target}");
    }
    let seen = seen(host, "GET /rpc/fix/describe HTTP/1.0\r\n\r\n");
    assert_eq!((&seen["uri"], &seen["version"]), (&"/describe".into(), &"HTTP/1.0".into()));
}

#[test]
fn over_http_2_a_target_has_a_scheme_and_an_authority() {
    let host = &running();
    run(async {
        let (mut sender, connection) = connect(host).await;
        tokio::spawn(connection);
        for target in ["describe", "describe?", "describe?a=1"] {
            let request = request_to(host, "GET", &format!("fix/{target}"), String::new());
            let answer = sender.send_request(request).await.expect("an answer");
            let body = answer.into_body().collect().await.expect("a body").to_bytes();
            let seen: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(seen["uri"], format!("http://{}/{target}", host.address()));
            assert_eq!(seen["version"], "HTTP/2.0");
        }
    });
}

#[test]
fn an_application_sees_what_it_would_see_on_its_listener() {
    let host = &wire_host().start();
    let ask = |request: &str| {
        let answer = host.raw(request.as_bytes());
        let body = answer.split_once("\r\n\r\n").expect("a head").1.to_owned();
        serde_json::from_str::<Value>(&body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    };
    for (target, uri) in [
        ("/rpc/wire@1.0.0/request?", "/request?"),
        ("/rpc/wire@1.0.0", "/"),
        ("/rpc/wire@1.0.0/", "/"),
        ("/rpc/wire@1.0.0/?x", "/?x"),
        ("http://there/rpc/wire@1.0.0/a%2Fb/%7Ec/", "http://there/a%2Fb/%7Ec/"),
        ("/rpc/wire@1.0.0/caf%C3%A9/\u{e9}", "/caf%C3%A9/\u{e9}"),
        ("/rpc/wire@1.0.0/x?a=//b/../c", "/x?a=//b/../c"),
    ] {
        let seen = ask(&format!(
            "GET {target} HTTP/1.1\r\nhost: here\r\nte: trailers\r\ntrailer: x-a\r\nconnection: close, te\r\n\r\n"
        ));
        assert_eq!((&seen["uri"], &seen["original_uri"]), (&uri.into(), &uri.into()), "{target}");
        let headers = seen["headers"].as_array().expect("headers");
        let host = if target.starts_with("http") { "there" } else { "here" };
        for expected in [json!(["host", host]), json!(["te", "trailers"]), json!(["trailer", "x-a"])] {
            assert!(headers.contains(&expected), "{target}: {headers:?}");
        }
    }
    let options = ask("OPTIONS /rpc/wire@1.0.0/request HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(options["method"], "OPTIONS");
    run(async {
        let (mut sender, connection) = connect(host).await;
        tokio::spawn(connection);
        let mut request = request_to(host, "GET", "wire@1.0.0/request?", String::new());
        request.headers_mut().insert("te", "trailers".parse().expect("a value"));
        let answer = sender.send_request(request).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let seen: Value = serde_json::from_slice(&body).expect("JSON");
        let uri = format!("http://{}/request?", host.address());
        assert_eq!((&seen["uri"], &seen["original_uri"]), (&uri.clone().into(), &uri.into()));
        assert_eq!(seen["version"], "HTTP/2.0");
        let headers = seen["headers"].as_array().expect("headers");
        assert!(headers.contains(&json!(["te", "trailers"])), "{headers:?}");
    });
}

#[test]
fn connect_info_is_the_clients_address() {
    use std::io::{Read, Write};

    let host = &wire_host().start();
    let mut client = host.connect();
    let address = client.local_addr().expect("an address").to_string();
    client
        .write_all(b"GET /rpc/wire@1.0.0/client HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with(&format!("\r\n\r\n{address}")), "{address}: {answer}");
}

/// As on a listener: 100 is sent when the application begins to read.
#[test]
fn a_client_that_waits_for_100_gets_it_when_its_body_is_read() {
    use std::io::{Read, Write};

    let host = &wire_host().start();
    let post = |path: &str| {
        let mut client = host.connect();
        write!(
            client,
            "POST /rpc/wire@1.0.0/{path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 5\r\n\r\n"
        )
        .expect("sent");
        client
    };
    let mut answer = String::new();
    post("ignore").read_to_string(&mut answer).expect("an answer");
    // A worker is sent the body ahead, so that its client is asked for it at once.
    let interim = if ISOLATED { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
    assert!(answer.starts_with(&format!("{interim}HTTP/1.1 409 ")), "{answer}");
    for path in ["late/20", "received"] {
        let mut client = post(path);
        let mut interim = [0; 25];
        client.read_exact(&mut interim).expect("100");
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"12345").expect("sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains('5'), "{answer}");
    }
}

#[test]
fn a_form_with_a_file_arrives() {
    let host = &wire_host().start();
    for length in [10, 1_500_000] {
        let file = "x".repeat(length);
        let body = format!(
            "--sep\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--sep\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{file}\r\n--sep--\r\n"
        );
        let kind = [("content-type", "multipart/form-data; boundary=sep")];
        let seen = host.request("POST", "/rpc/wire@1.0.0/form", &kind, body.as_bytes());
        assert_eq!(seen.assert_status(200).json(), json!([["a", 1], ["file", length]]));
    }
}

/// The host's limits hold for a body that the application reads, and are the host's to answer.
#[test]
fn limits_hold_for_bodies_that_the_application_reads() {
    use std::io::{Read, Write};

    let host = &wire_host().env("HHRF_BODY_TIMEOUT_MS", "300").start();
    let begin = |path: &str| {
        let mut client = host.connect();
        write!(
            client,
            "POST /rpc/wire@1.0.0/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        .expect("sent");
        client
    };
    let mut client = begin("received");
    let piece = "x".repeat(1 << 20);
    for _ in 0..9 {
        // The host answers before the last one.
        let _ = write!(client, "100000\r\n{piece}\r\n");
    }
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    let mut client = begin("received");
    client.write_all(b"3\r\nabc\r\n").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let announced = b"POST /rpc/wire@1.0.0/ignore HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9000000\r\n\r\n";
    assert!(host.raw(announced).starts_with("HTTP/1.1 413 "));
}

/// The rate that a client has to keep counts until the function has answered.
#[test]
fn a_conversation_may_pause() {
    use std::io::{Read, Write};
    use std::time::Duration;

    let host = &wire_host().env("HHRF_BODY_TIMEOUT_MS", "200").start();
    let mut client = host.connect();
    client
        .write_all(b"POST /rpc/wire@1.0.0/mirror HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        .expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"one\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("it is mirrored");
        answer.push(byte[0]);
    }
    std::thread::sleep(Duration::from_millis(800));
    client.write_all(b"3\r\ntwo\r\n0\r\n\r\n").expect("sent");
    let mut rest = String::new();
    client.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "3\r\ntwo\r\n0\r\n\r\n");
}

/// These are the host's to answer: another program may read them in another way.
#[test]
fn what_two_programs_could_read_in_two_ways_reaches_no_application() {
    let host = &wire_host().start();
    for target in ["//x", "/a/../b", "/./b", "/%2e%2e/b", "/a%2f..%2fb", "/%zz", "/%", "/%00", "/a#b"] {
        let answer = host.raw(
            format!("GET /rpc/wire@1.0.0{target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        );
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
    }
    let answer = host.raw(b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}
