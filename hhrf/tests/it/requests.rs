//! What a function sees of a request, which is what it would see on a listener of its own.

use http_body_util::BodyExt;
use serde_json::Value;

use super::running;
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
