//! Mounts: functions on host names and path prefixes of their own.

use std::fs;

use fezz_testkit::{Browser, Host, Response, Running, library};
use serde_json::{Value, json};

use super::{ROUTES, bare, fixture};

const PAGES: &[(&str, &str)] = &[("ANY", "/"), ("ANY", "/{*path}")];

/// Two copies of one application, and the fixture in three versions with an alias.
fn mounted(mounts: &Value) -> Host {
    let pages = library("fezz-fixture-pages");
    let host = bare()
        .function("one@1.0.0", &pages, PAGES)
        .function("two@1.0.0", &pages, PAGES)
        .function("fix@1.0.0", &fixture(), ROUTES)
        .function("fix@1.1.0", &fixture(), ROUTES)
        .function("fix@latest", &fixture(), ROUTES);
    let aliases = json!({ "fix": { "live": { "1.0.0": 50, "1.1.0": 50 }, "old": { "1.0.0": 1 } } });
    fs::write(host.functions().join("aliases.json"), aliases.to_string()).expect("written");
    fs::write(host.functions().join("mounts.json"), mounts.to_string()).expect("written");
    host
}

fn on(host: &Running, name: &str, path: &str) -> Response {
    host.request("GET", path, &[("host", name)], b"")
}

#[track_caller]
fn answered(response: &Response) -> &str {
    response.assert_status(200).header("x-fezz-function").expect("every answer names its function")
}

/// Sends these bytes, and expects the answer to name this function, or none.
#[track_caller]
fn assert_raw(host: &Running, request: &str, function: Option<&str>) {
    let answer = host.raw(request.as_bytes());
    let named = answer.lines().find_map(|line| line.strip_prefix("x-fezz-function: "));
    assert_eq!(named, function, "{request}: {answer}");
}

#[test]
fn a_request_is_for_the_mount_of_its_host_and_path() {
    let host = mounted(&json!({
        "one.example.test": "one",
        "*.example.test": "two",
        "one.example.test/v1": "fix@1",
        "/shop": "fix@old",
        "[::1]": "fix@1.1"
    }))
    .start();
    for (name, path, function) in [
        ("one.example.test", "/request", "one@1.0.0"),
        ("ONE.Example.test:8080", "/request", "one@1.0.0"),
        ("one.example.test.", "/request", "one@1.0.0"),
        ("one.example.test", "/v1/ping", "fix@1.1.0"),
        ("one.example.test", "/request/", "one@1.0.0"),
        ("other.example.test", "/request", "two@1.0.0"),
        ("127.0.0.1", "/shop/ping", "fix@1.0.0"),
        ("127.0.0.1", "/shop", "fix@1.0.0"),
        ("127.0.0.1", "/shop/", "fix@1.0.0"),
        ("[0:0::1]:3000", "/ping", "fix@1.1.0"),
        // Functions by their names, on every host.
        ("one.example.test", "/rpc/fix@latest/ping", "fix@latest"),
        ("nowhere.test", "/rpc/two/request", "two@1.0.0"),
    ] {
        let response = on(&host, name, path);
        assert_eq!(response.header("x-fezz-function"), Some(function), "{name}{path}: {response:?}");
    }
    let absolute =
        "GET http://two.example.test/request HTTP/1.1\r\nhost: one.example.test\r\nconnection: close\r\n\r\n";
    assert_raw(&host, absolute, Some("two@1.0.0"));
    assert_raw(&host, "GET /shop/ping HTTP/1.0\r\n\r\n", Some("fix@1.0.0"));
    assert_raw(&host, "GET /request HTTP/1.0\r\n\r\n", None);
}

#[test]
fn http2_names_the_host_in_authority() {
    let host = &mounted(&json!({ "one.example.test": "one" })).start();
    let answer = crate::http2::run(async {
        let (mut sender, connection) = crate::http2::connect(host).await;
        tokio::spawn(connection);
        let request = http::Request::get("http://One.example.test:81/request?a=1");
        let request = request.body(http_body_util::Full::new(bytes::Bytes::new())).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.headers()["x-fezz-function"], "one@1.0.0");
        http_body_util::BodyExt::collect(response.into_body()).await.expect("a body").to_bytes()
    });
    let seen: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(
        seen,
        json!({ "path": "/request", "query": "a=1", "host": ["One.example.test:81"], "prefix": [] })
    );
}

#[test]
fn the_function_sees_its_own_paths_the_prefix_and_the_clients_host() {
    let host = mounted(&json!({ "one.example.test": "one", "one.example.test/v1/x": "two", "/shop": "two" }))
        .start();
    let seen = |name: &str, path: &str| {
        let headers = [("host", name), ("x-forwarded-prefix", "/forged"), ("x-forwarded-prefix", "/twice")];
        host.request("GET", path, &headers, b"").assert_status(200).json()
    };
    let expected = |host: &str, prefix: &[&str]| json!({ "path": "/request", "query": "q=%2F", "host": [host], "prefix": prefix });
    assert_eq!(seen("one.example.test:81", "/request?q=%2F"), expected("one.example.test:81", &[]));
    assert_eq!(seen("One.example.test", "/v1/x/request?q=%2F"), expected("One.example.test", &["/v1/x"]));
    assert_eq!(seen("127.0.0.1", "/shop/request?q=%2F"), expected("127.0.0.1", &["/shop"]));
    // Where no mount applies, a proxy may say what it has stripped.
    let by_name = expected("127.0.0.1", &["/forged", "/twice"]);
    assert_eq!(seen("127.0.0.1", "/rpc/one/request?q=%2F"), by_name);
}

#[test]
fn methods_and_unknown_paths_are_as_below_rpc() {
    let host = mounted(&json!({ "fix.example.test": "fix@old", "/shop": "fix@old" })).start();
    let ask = |method: &str, path: &str| host.request(method, path, &[("host", "fix.example.test")], b"");
    assert_eq!(ask("HEAD", "/waiting").assert_status(200).body, b"");
    ask("POST", "/waiting").assert_problem(405);
    let options = ask("OPTIONS", "/waiting");
    assert_eq!(options.assert_status(204).header("allow"), Some("GET, HEAD, OPTIONS"));
    let unknown = ask("GET", "/unknown");
    assert_eq!(unknown.assert_problem(404).header("x-fezz-function"), Some("fix@1.0.0"));
    ask("GET", "/shop/ping").assert_problem(404);
    for path in ["/a//b", "/%2e%2e/x", "/ping/..", "/%zz"] {
        ask("GET", path).assert_problem(400);
    }
    // What leads nowhere names nothing and loads nothing.
    let nowhere = host.request("GET", "/unknown", &[("host", "nowhere.test")], b"");
    assert_eq!(nowhere.assert_problem(404).header("x-fezz-function"), None);
    assert_eq!(nowhere.json()["detail"], "nothing is served at this address");
    for path in ["/rpc", "/rpc/"] {
        assert_eq!(ask("GET", path).assert_problem(404).header("x-fezz-function"), None, "{path}");
    }
    assert_eq!(host.status("one@1.0.0")["library"], "idle");
    let metrics = host.admin("/metrics");
    let line = "http_server_request_duration_seconds_count{method=\"HEAD\",route=\"/waiting\",status=\"200\",function=\"fix\",version=\"1.0.0\"} 1";
    assert!(metrics.text().contains(line), "{}", metrics.text());
}

#[test]
fn splits_and_stickiness_hold() {
    let host = mounted(&json!({ "fix.example.test": "fix@live" })).start();
    let ask = |user: &str| {
        let headers = [("host", "fix.example.test"), ("x-fezz-sticky", user)];
        answered(&host.request("GET", "/ping", &headers, b"")).to_owned()
    };
    let mut found: Vec<_> = (0..20).map(|user| ask(&user.to_string())).collect();
    assert_eq!(found, (0..20).map(|user| ask(&user.to_string())).collect::<Vec<_>>());
    found.sort();
    found.dedup();
    assert_eq!(found, ["fix@1.0.0", "fix@1.1.0"]);
    let mut split: Vec<_> =
        (0..10).map(|_| answered(&on(&host, "fix.example.test", "/ping")).to_owned()).collect();
    split.sort();
    assert_eq!(split.iter().filter(|name| *name == "fix@1.0.0").count(), 5, "{split:?}");
}

#[test]
fn a_websocket_on_a_host_name() {
    let routes = json!([{ "path": "/echo", "method": "GET", "upgrade": true }]);
    let manifest = json!({ "id": "ws", "version": "latest", "routes": routes });
    let host = mounted(&json!({ "ws.example.test": "ws", "/sockets": "ws" }))
        .deploy("ws@latest", &library("fezz-fixture-upgrade"), manifest)
        .start();
    for url in ["ws://ws.example.test/echo", "ws://example.test/sockets/echo"] {
        let (mut socket, _) = tokio_tungstenite::tungstenite::client(url, host.connect()).expect(url);
        socket.send("hello".into()).expect("sent");
        assert_eq!(socket.read().expect("an echo").into_text().expect("text"), "hello");
    }
}

/// Logs in as this user on the page that is open, which leads there.
fn log_in(browser: &Browser, at: &str, user: &str) {
    browser.open(at);
    assert_eq!(browser.url(), format!("{at}login"));
    browser.fill("input", user);
    browser.click("button");
    browser.until(|browser| browser.url(), &at.to_owned());
    browser.until(|browser| browser.text("h1"), &format!("Hello, {user}"));
}

/// Everything of the application that is about this user.
fn assert_logged_in(browser: &Browser, at: &str, user: &str) {
    browser.open(at);
    assert_eq!(browser.text("h1"), format!("Hello, {user}"));
    browser.until(|browser| browser.text("#script"), &"the script ran".to_owned());
    browser.open(&format!("{at}docs"));
    browser.until(|browser| browser.text("h1"), &user.to_owned());
}

/// Two copies of one application, with a session in each at once.
fn two_sessions(mounts: &Value, first: &str, second: &str) {
    let host = mounted(mounts).start();
    let browser = Browser::start(&[("*.example.test", host.address())]);
    let ann = browser.tab();
    log_in(&browser, first, "ann");
    let bob = browser.new_tab();
    log_in(&browser, second, "bob");
    for _ in 0..2 {
        browser.switch_to(&ann);
        assert_logged_in(&browser, first, "ann");
        browser.switch_to(&bob);
        assert_logged_in(&browser, second, "bob");
    }
    // The end of one session is not that of the other.
    browser.open(second);
    browser.click("button");
    browser.until(|browser| browser.url(), &format!("{second}login"));
    browser.switch_to(&ann);
    assert_logged_in(&browser, first, "ann");
}

#[test]
fn two_host_names_in_a_browser() {
    let mounts = json!({ "one.example.test": "one@1", "two.example.test": "two@1.0" });
    two_sessions(&mounts, "http://one.example.test/", "http://two.example.test/");
}

#[test]
fn two_prefixes_in_a_browser() {
    let mounts = json!({ "/shop": "one", "/office": "two" });
    two_sessions(&mounts, "http://x.example.test/shop/", "http://x.example.test/office/");
}

#[test]
fn a_host_name_and_a_prefix_of_it_in_a_browser() {
    let mounts = json!({ "x.example.test": "one", "x.example.test/office": "two" });
    let host = mounted(&mounts).start();
    let browser = Browser::start(&[("*.example.test", host.address())]);
    log_in(&browser, "http://x.example.test/office/", "bob");
    log_in(&browser, "http://x.example.test/", "ann");
    assert_logged_in(&browser, "http://x.example.test/", "ann");
}
