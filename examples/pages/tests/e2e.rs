//! The application on the real host, in its process and in workers.

use fezz_sdk::testing::{RunningTestHost, TestHost, TestResponse};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn host(isolation: &str) -> RunningTestHost {
    TestHost::new()
        .assets("assets")
        .assets("templates")
        .variable("SESSION_KEY", KEY)
        .manifest("isolation", isolation)
        .start()
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &TestResponse) -> String {
    let set = answer.header("set-cookie").expect("a cookie is set");
    assert!(set.contains("Path=/") && set.contains("HttpOnly"), "{set}");
    set.split(';').next().expect("a pair").to_owned()
}

#[track_caller]
fn sign_in(host: &RunningTestHost, name: &str) -> String {
    let answer = host.request("POST", "/login", &[FORM], format!("name={name}").as_bytes());
    assert_eq!(answer.assert_status(303).header("location"), Some("/"));
    cookie(&answer)
}

fn works(isolation: &str) {
    let host = host(isolation);
    assert_eq!(host.get("").assert_status(303).header("location"), Some("/login"));
    let (ada, ben) = (sign_in(&host, "Ada"), sign_in(&host, "Ben"));
    let page = host.request("GET", "", &[("cookie", &ada)], b"");
    assert!(page.assert_status(200).text().contains(">Ada<") && page.text().contains(">1<"), "{page:?}");
    let page = host.request("GET", "", &[("cookie", &cookie(&page))], b"");
    assert!(page.text().contains(">2<"), "{page:?}");
    let page = host.request("GET", "", &[("cookie", &ben)], b"");
    assert!(page.text().contains(">Ben<") && page.text().contains(">1<"), "{page:?}");
    for (path, kind) in
        [("style.css", "text/css"), ("app.js", "text/javascript"), ("logo.svg", "image/svg+xml")]
    {
        let answer = host.get(&format!("/assets/{path}"));
        assert_eq!(answer.assert_status(200).header("content-type"), Some(kind));
        assert!(!answer.body.is_empty());
    }
    host.get("/assets/../templates/page.html").assert_status(400);
    host.get("/assets/nothing").assert_status(404);
    let answer = host.request("POST", "/logout", &[("cookie", &ada)], b"");
    assert!(answer.assert_status(303).header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")));
}

#[test]
fn it_works_in_the_hosts_process() {
    works("none");
}

#[test]
fn it_works_in_worker_processes() {
    works("process");
}
