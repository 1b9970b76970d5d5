//! The response builder, and the SDK outside a host.

use fezz_sdk::FezzHttpResponse;
use fezz_sdk::http::{Response, StatusCode};

#[test]
fn content_types_are_defaults_only() {
    let json = FezzHttpResponse::ok().json(&[1, 2]);
    assert_eq!(json.headers()["content-type"], "application/json");
    assert_eq!(json.body().as_ref(), b"[1,2]");
    let text = FezzHttpResponse::ok().text("hi");
    assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8");
    let own = FezzHttpResponse::ok().header("content-type", "application/problem+json").json(&1);
    assert_eq!(own.headers().get_all("content-type").iter().count(), 1);
    assert_eq!(own.headers()["content-type"], "application/problem+json");
    assert!(FezzHttpResponse::ok().bytes(vec![0]).headers().is_empty());
}

#[test]
fn headers_repeat() {
    let response = FezzHttpResponse::ok().header("set-cookie", "a=1").header("set-cookie", "b=2");
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[test]
fn a_response_of_the_http_crate_is_converted() {
    let response =
        Response::builder().status(StatusCode::ACCEPTED).header("x-a", "b").body("hi").expect("valid");
    let response = FezzHttpResponse::from(response);
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["x-a"], "b");
    assert_eq!(response.body().as_ref(), b"hi");
}

#[test]
fn outside_a_host_there_is_no_host() {
    assert!(fezz_sdk::host().is_none());
    assert_eq!(fezz_sdk::variable("PATH"), None);
    assert_eq!(fezz_sdk::data_dir(), None);
    fezz_sdk::log(fezz_sdk::Level::Error, "dropped");
}
