//! The key `cors`.

use fezz_manifest::{Cors, CorsOrigins, MAX_CORS_AGE};
use serde_json::{Value, json};

use crate::{expect_problems, parse, with};

fn cors(value: Value) -> Cors {
    parse(&with("/cors", value)).expect("a manifest without problems").cors.expect("cors")
}

/// Expects one problem with the key, or below it.
#[track_caller]
fn expect_problem(value: Value, at: &str, part: &str) {
    expect_problems(&with("/cors", value), &[(&format!("$.cors{at}"), part)]);
}

#[test]
fn a_list_of_origins_is_the_short_form() {
    let origins =
        ["https://app.example.com", "http://localhost:5173", "capacitor://localhost", "https://[::1]:8443"];
    let found = cors(json!(origins));
    assert_eq!(found.origins, CorsOrigins::Only(origins.map(str::to_owned).into()));
    assert_eq!(found, cors(json!({ "origins": origins })));
    assert_eq!(cors(json!(["*"])), Cors { origins: CorsOrigins::Every, ..Cors::default() });
}

#[test]
fn an_object_has_the_rest() {
    let found = cors(json!({
        "origins": ["https://a.example"], "headers": ["Authorization", "x-a"], "expose": ["ETag"],
        "credentials": true, "max_age": 60
    }));
    let names = found.headers.iter().flatten().chain(&found.expose).map(|name| name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["authorization", "x-a", "etag"]);
    assert_eq!((found.credentials, found.max_age), (true, Some(60)));
    // No headers is not the same as those that are asked for.
    assert_eq!(cors(json!({ "origins": ["*"], "headers": [] })).headers, Some(Vec::new()));
}

#[test]
fn origins_are_written_as_browsers_send_them() {
    for (origin, part) in [
        ("app.example.com", "write scheme and host, such as `https://app.example.com`"),
        ("https://a.example/", "which has no path; write `https://a.example`"),
        ("https://a.example/x?y", "which has no path; write `https://a.example`"),
        ("https://A.example", "write `https://a.example`"),
        ("https://a.example:443", "without the default port; write `https://a.example`"),
        ("http://a.example:80", "write `http://a.example`"),
        ("https://*.example", "only alone; write each host"),
        ("null", "any sandboxed page has it"),
        ("", "write scheme and host"),
        ("https://", "is not an origin"),
        ("https://a b", "is not an origin"),
        ("https://u@a.example", "is not an origin"),
        ("https://a.example:x", "is not an origin"),
        ("https://a.example:", "is not an origin"),
        ("https://é.example", "is not an origin"),
    ] {
        expect_problem(json!([origin]), "[0]", part);
    }
    cors(json!(["https://a.example:80", "http://a.example:443"]));
}

#[test]
fn other_problems() {
    expect_problem(json!("https://a.example"), "", "must be a list of origins or an object, not a string");
    expect_problem(json!([]), "", "names no origin");
    expect_problem(json!(["*", "https://a.example"]), "[0]", "`*` stands alone");
    expect_problem(json!(["https://a.example", "https://a.example"]), "[1]", "is in the list already");
    expect_problem(json!([1]), "[0]", "must be a string");
    expect_problem(
        json!({ "origins": ["*"], "credentials": true }),
        ".credentials",
        "browsers send no credentials",
    );
    expect_problem(json!({ "origins": ["*"], "credentials": 1 }), ".credentials", "must be true or false");
    expect_problem(json!({ "origins": ["*"], "headers": ["a b"] }), ".headers[0]", "is not a header name");
    expect_problem(json!({ "origins": ["*"], "headers": ["*"] }), ".headers[0]", "leave the key out");
    expect_problem(json!({ "origins": ["*"], "expose": ["A", "a"] }), ".expose[1]", "in the list already");
    expect_problem(json!({ "origins": ["*"], "max_age": MAX_CORS_AGE + 1 }), ".max_age", "from 0 to 86400");
    expect_problem(json!({ "origins": ["*"], "methods": ["GET"] }), ".methods", "unknown key");
    expect_problem(json!({}), ".origins", "missing; add it");
    expect_problem(
        json!((0..65).map(|n| format!("https://{n}.example")).collect::<Vec<_>>()),
        "",
        "at most 64",
    );
}
