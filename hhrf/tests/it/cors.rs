//! `cors` in `fezz.json`: preflights, and headers of the host's own answers and of the function's.

use fezz_testkit::{Browser, Host, Response, Running};
use serde_json::{Value, json};

use super::{ROUTES, bare, fixture};

const APP: &str = "http://app.example.test";

fn host_with(cors: &Value) -> Host {
    let more = json!({ "cors": cors, "timeout_ms": 500, "max_body_bytes": 10 });
    bare().function_with("fix@latest", &fixture(), ROUTES, more).function("plain@1.0.0", &fixture(), ROUTES)
}

fn from(
    host: &Running,
    origin: &str,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let headers: Vec<_> = [("origin", origin)].into_iter().chain(more.iter().copied()).collect();
    host.request(method, path, &headers, body)
}

/// All that CORS says in an answer, sorted.
fn said(response: &Response) -> Vec<String> {
    let is_about = |name: &str| name.starts_with("access-control-") || name == "vary";
    let headers = response.headers.iter().filter(|(name, _)| is_about(name.as_str()));
    let mut said: Vec<_> =
        headers.map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
    said.sort();
    said
}

#[test]
fn the_hosts_own_answers_can_be_read_by_pages_of_the_origins() {
    let host = host_with(&json!([APP])).start();
    let allowed = [
        "access-control-allow-origin: http://app.example.test",
        "access-control-expose-headers: x-request-id, retry-after",
        "vary: origin",
    ];
    for (method, path, body, status) in [
        ("GET", "/rpc/fix/sleep/5000", "", 504),
        ("GET", "/rpc/fix/unknown", "", 404),
        ("DELETE", "/rpc/fix/waiting", "", 405),
        ("POST", "/rpc/fix/echo", "far more than ten", 413),
        ("GET", "/rpc/fix/panic", "", 500),
        ("GET", "/rpc/fix/status/199", "", 502),
    ] {
        let answer = from(&host, APP, method, path, &[], body.as_bytes());
        assert_eq!(said(answer.assert_problem(status)), allowed, "{path}");
        let other = from(&host, "http://evil.example.test", method, path, &[], body.as_bytes());
        assert_eq!(said(other.assert_problem(status)), ["vary: origin"], "{path}");
    }
    assert_eq!(said(&host.get("/rpc/fix/ping")), ["vary: origin"]);
    assert_eq!(said(&from(&host, APP, "GET", "/rpc/fix/ping", &[], b"")), allowed);
    // An OPTIONS that is no preflight.
    assert_eq!(said(from(&host, APP, "OPTIONS", "/rpc/fix/waiting", &[], b"").assert_status(204)), allowed);
    // Where nothing is said of it.
    assert_eq!(said(&from(&host, APP, "GET", "/rpc/plain@1/ping", &[], b"")), [""; 0]);
    assert_eq!(said(&from(&host, APP, "GET", "/rpc/unknown/ping", &[], b"")), [""; 0]);
}

#[test]
fn a_page_reads_when_to_ask_a_full_function_again() {
    let more = json!({ "cors": [APP], "max_concurrency": 1, "max_queue": 0 });
    let host = bare().function_with("fix@latest", &fixture(), ROUTES, more).start();
    std::thread::scope(|scope| {
        scope.spawn(|| host.get("/rpc/fix/sleep/3000"));
        host.until(|host| host.status("fix@latest")["in_flight"].clone(), |count| *count == 1);
        let full = from(&host, APP, "GET", "/rpc/fix/ping", &[], b"");
        assert!(full.assert_problem(503).header("retry-after").is_some(), "{full:?}");
        assert_eq!(full.header("access-control-allow-origin"), Some(APP));
        let exposed = full.header("access-control-expose-headers");
        assert!(exposed.is_some_and(|names| names.contains("retry-after")), "{full:?}");
    });
}

#[test]
fn preflights_are_answered_by_the_host() {
    let host = host_with(&json!({
        "origins": [APP], "headers": ["Authorization", "x-own"], "expose": ["ETag"], "credentials": true, "max_age": 60
    }))
    .start();
    let asked = [("access-control-request-method", "DELETE"), ("access-control-request-headers", "x-own")];
    // A route for any method, one without OPTIONS, none.
    for path in ["/rpc/fix/ping", "/rpc/fix/waiting", "/rpc/fix/unknown"] {
        let answer = from(&host, APP, "OPTIONS", path, &asked, b"");
        assert_eq!(
            said(answer.assert_status(204)),
            [
                "access-control-allow-credentials: true",
                "access-control-allow-headers: authorization, x-own",
                "access-control-allow-methods: DELETE",
                "access-control-allow-origin: http://app.example.test",
                "access-control-max-age: 60",
                "vary: access-control-request-method, access-control-request-headers",
                "vary: origin",
            ],
            "{path}"
        );
        let other = from(&host, "http://evil.example.test", "OPTIONS", path, &asked, b"");
        let vary = ["vary: access-control-request-method, access-control-request-headers", "vary: origin"];
        assert_eq!(said(other.assert_status(204)), vary);
    }
    assert_eq!(host.status("fix@latest")["library"], "idle", "a preflight loads nothing");
    let read = from(&host, APP, "GET", "/rpc/fix/ping", &[], b"");
    assert_eq!(
        said(&read),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: http://app.example.test",
            "access-control-expose-headers: x-request-id, retry-after, etag",
            "vary: origin",
        ]
    );
    // Without `cors` it is the function's: a route for any method takes OPTIONS too.
    let own = from(&host, APP, "OPTIONS", "/rpc/plain@1/ping", &asked, b"");
    assert_eq!(own.assert_status(200).text(), "pong");
}

#[test]
fn every_origin() {
    let host = host_with(&json!(["*"])).start();
    let asked = [("access-control-request-method", "PUT"), ("access-control-request-headers", "x-a, x-b")];
    assert_eq!(
        said(&from(&host, "null", "OPTIONS", "/rpc/fix/ping", &asked, b"")),
        [
            "access-control-allow-headers: x-a, x-b",
            "access-control-allow-methods: PUT",
            "access-control-allow-origin: *",
            "vary: access-control-request-method, access-control-request-headers",
        ]
    );
    let expected =
        ["access-control-allow-origin: *", "access-control-expose-headers: x-request-id, retry-after"];
    assert_eq!(said(&from(&host, "http://any.test", "GET", "/rpc/fix/ping", &[], b"")), expected);
    // A cache may give this to a page.
    assert_eq!(said(&host.get("/rpc/fix/ping")), expected);
}

/// A page of another origin, in a browser: what it may read of a call that fails, and of one that it may not make.
#[test]
fn a_page_reads_the_problem_of_a_call_that_timed_out() {
    let host = host_with(&json!({ "origins": [APP], "credentials": true }));
    let mounts =
        json!({ "api.example.test": "fix", "app.example.test": "plain", "evil.example.test": "plain" });
    std::fs::write(host.functions().join("mounts.json"), mounts.to_string()).expect("written");
    let host = host.start();
    let browser = Browser::start(&[("*.example.test", host.address())]);
    browser.open("http://app.example.test/ping");
    let call = |path: &str, options: &str| {
        browser.evaluate(&format!(
            "const answer = await fetch('http://api.example.test{path}', {options});\
             return {{ status: answer.status, id: answer.headers.get('x-request-id'), body: await answer.text() }}"
        ))
    };
    let timed_out = call("/sleep/5000", "{}");
    assert_eq!(timed_out["status"], 504, "{timed_out}");
    let problem: Value = serde_json::from_str(timed_out["body"].as_str().expect("text")).expect("JSON");
    assert_eq!((&problem["status"], &problem["request_id"]), (&json!(504), &timed_out["id"]));
    // With a preflight, and credentials.
    let options = "{ method: 'DELETE', headers: { 'x-own': '1' }, credentials: 'include' }";
    assert_eq!(call("/waiting", options)["status"], 405);
    assert_eq!(call("/ping", options)["body"], "pong");
    assert_eq!(call("/echo", "{ method: 'POST', body: 'far more than ten' }")["status"], 413);

    browser.open("http://evil.example.test/ping");
    for options in ["{}", options] {
        let read = browser.evaluate(&format!(
            "return await fetch('http://api.example.test/ping', {options}).then(() => 'read', () => 'refused')"
        ));
        assert_eq!(read, "refused");
    }
}

#[test]
fn a_change_of_the_rules_alone_is_deployed() {
    let host = host_with(&json!([APP])).start();
    let file = host.host().folder("fix@latest").join("fezz.json");
    let manifest = std::fs::read_to_string(&file).expect("read");
    std::fs::write(&file, manifest.replace(APP, "http://new.example.test")).expect("written");
    let of = |host: &Running, origin: &str| said(&from(host, origin, "GET", "/rpc/fix/ping", &[], b"")).len();
    host.until(|host| of(host, "http://new.example.test"), |count| *count == 3);
    assert_eq!(of(&host, APP), 1);
}
