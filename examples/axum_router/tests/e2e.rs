//! The application on the real host.

use fezz_sdk::testing::TestHost;

const JSON: (&str, &str) = ("content-type", "application/json");
const AGENT: (&str, &str) = ("user-agent", "test");

#[test]
fn an_axum_application_works_unchanged() {
    let host = TestHost::new().start();
    let get = |path: &str| host.request("GET", path, &[AGENT], b"");
    for text in ["one", "two", "three"] {
        let draft = format!(r#"{{"text":"{text}"}}"#);
        host.request("POST", "/notes", &[AGENT, JSON], draft.as_bytes()).assert_status(201);
    }
    // State is kept between requests, and paths are without the function's prefix.
    assert_eq!(get("/notes?contains=t").assert_status(200).json().as_array().map(Vec::len), Some(2));
    assert_eq!(get("/notes/1").assert_status(200).json()["text"], "two");
    get("/notes/9").assert_status(404);
    get("/notes/x").assert_status(400);
    get("/export").assert_status(200).assert_text("0\tone\n1\ttwo\n2\tthree\n");
    get("/about").assert_text("notes@1.0.0\n");
    get("/elsewhere?x=1").assert_status(404).assert_text("nothing at /elsewhere\n");
    get("").assert_status(404);
    host.request("POST", "/notes", &[AGENT, JSON], b"{").assert_status(400);
    host.request("POST", "/notes", &[AGENT], b"{}").assert_status(415);
    host.request("DELETE", "/notes/1", &[AGENT], b"").assert_status(405);
    assert_eq!(get("/notes").header("cache-control"), Some("no-store"));
    host.request("GET", "/notes", &[("user-agent", "")], b"").assert_status(200);
}
