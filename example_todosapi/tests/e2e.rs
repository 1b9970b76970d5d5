//! The todo list on the real host, deployed with its own `fezz.json`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::thread;

use fezz_sdk::testing::TestHost;
use fezz_testkit::{Host, Response, Running, library};
use serde_json::{Value, json};

/// A host with the function deployed: the library and its `fezz.json`, copied into a folder.
#[track_caller]
fn host() -> Host {
    host_with(&json!({}))
}

/// The same, with variables.
#[track_caller]
fn host_with(variables: &Value) -> Host {
    let host = Host::new();
    deploy(&host, "latest", variables);
    host
}

#[track_caller]
fn deploy(host: &Host, version: &str, variables: &Value) {
    let folder = host.folder(&format!("todos@{version}"));
    let library = library("example_todosapi");
    let file = library.file_name().expect("a library has a name");
    std::fs::copy(&library, folder.join(file)).expect("the library can be copied");
    let mut manifest: Value = serde_json::from_str(include_str!("../fezz.json")).expect("fezz.json is JSON");
    manifest["version"] = version.into();
    manifest["env"] = variables.clone();
    std::fs::write(folder.join("fezz.json"), manifest.to_string()).expect("fezz.json can be written");
}

#[track_caller]
fn get(running: &Running, path: &str) -> Response {
    running.get(&format!("/rpc/todos@latest{path}"))
}

#[track_caller]
fn send(running: &Running, method: &str, path: &str, body: &Value) -> Response {
    let path = format!("/rpc/todos@latest{path}");
    running.request(method, &path, &[("content-type", "application/json")], body.to_string().as_bytes())
}

#[track_caller]
fn add(running: &Running, title: &str, done: bool) -> Value {
    let response = send(running, "POST", "/todos", &json!({ "title": title, "done": done }));
    response.assert_status(201).json()
}

fn titles(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("items is a list");
    items.iter().filter_map(|todo| todo["title"].as_str()).collect()
}

fn fields(problem: &Value) -> HashSet<&str> {
    let errors = problem["errors"].as_array().expect("errors is a list");
    errors.iter().filter_map(|error| error["field"].as_str()).collect()
}

#[test]
fn says_hello() {
    let host = TestHost::new().start();
    for path in ["/hello", "", "/"] {
        let response = host.get(path);
        response.assert_status(200).assert_text("Hello from todosapi!");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn a_todo_lives_from_post_to_delete() {
    let running = host().start();
    let response = send(&running, "POST", "/todos", &json!({ "title": "  buy milk " }));
    let created = response.assert_status(201).json();
    assert_eq!(
        (&created["id"], &created["title"], &created["done"]),
        (&json!(1), &json!("buy milk"), &json!(false))
    );
    // Relative to /rpc/todos@latest/todos, so that it holds behind any prefix.
    assert_eq!(response.header("location"), Some("todos/1"));

    assert_eq!(get(&running, "/todos/1").assert_status(200).json(), created);
    let response = send(&running, "PUT", "/todos/1", &json!({ "title": "oat milk", "done": true }));
    let replaced = response.assert_status(200).json();
    assert_eq!((&replaced["title"], &replaced["done"]), (&json!("oat milk"), &json!(true)));
    assert_eq!(replaced["created_at"], created["created_at"]);
    assert_eq!(get(&running, "/todos/1").json(), replaced);

    let response = running.request("DELETE", "/rpc/todos@latest/todos/1", &[], b"");
    response.assert_status(204).assert_text("");
    get(&running, "/todos/1").assert_problem(404);
    running.request("DELETE", "/rpc/todos@latest/todos/1", &[], b"").assert_problem(404);
    send(&running, "PUT", "/todos/1", &json!({ "title": "x", "done": true })).assert_problem(404);
    get(&running, "/todos/one").assert_problem(404);
}

#[test]
fn head_is_get_without_a_body() {
    let running = host().start();
    add(&running, "a", false);
    let length = get(&running, "/todos/1").body.len().to_string();
    let response = running.request("HEAD", "/rpc/todos@latest/todos/1", &[], b"");
    response.assert_status(200).assert_text("");
    assert_eq!(response.header("content-length"), Some(length.as_str()));
}

#[test]
fn all_errors_of_a_todo_are_reported_at_once() {
    let running = host().start();
    let response =
        send(&running, "POST", "/todos", &json!({ "title": "a\u{7}", "done": 1, "color": "red", "id": 7 }));
    let problem = response.assert_problem(422).json();
    assert_eq!(fields(&problem), HashSet::from(["title", "done", "color", "id"]));
    let problem = send(&running, "PUT", "/todos/1", &json!({})).assert_problem(422).json();
    assert_eq!(fields(&problem), HashSet::from(["title", "done"]));
    assert_eq!(get(&running, "/todos").json()["total"], 0);
}

#[test]
fn a_body_must_be_json_with_its_content_type() {
    let running = host().start();
    let post = |content_type: &str, body: &[u8]| {
        running.request("POST", "/rpc/todos@latest/todos", &[("content-type", content_type)], body)
    };
    post("application/json", br#"{"title": "#).assert_problem(400);
    post("application/json", b"").assert_problem(400);
    let response = post("text/plain", br#"{"title": "a"}"#);
    response.assert_problem(415);
    assert_eq!(response.header("accept"), Some("application/json"));
    running.request("POST", "/rpc/todos@latest/todos", &[], br#"{"title": "a"}"#).assert_problem(415);
    post("application/json; charset=utf-8", br#"{"title": "a"}"#).assert_status(201);
}

#[test]
fn lists_are_filtered_searched_and_paged() {
    let running = host().start();
    for i in 1..=25 {
        add(&running, &format!("todo {i}"), i % 5 == 0);
    }
    add(&running, "100% done", true);

    let page = get(&running, "/todos").assert_status(200).json();
    assert_eq!((&page["total"], &page["limit"], &page["offset"]), (&json!(26), &json!(20), &json!(0)));
    assert_eq!(titles(&page).len(), 20);
    let page = get(&running, "/todos?limit=3&offset=24").json();
    assert_eq!(titles(&page), ["todo 25", "100% done"]);
    let page = get(&running, "/todos?done=true&limit=2").json();
    assert_eq!((titles(&page), &page["total"]), (vec!["todo 5", "todo 10"], &json!(6)));
    assert_eq!(titles(&get(&running, "/todos?q=0%25+d").json()), ["100% done"]);
    assert_eq!(get(&running, "/todos?q=todo&done=false").json()["total"], 20);
}

#[test]
fn invalid_query_parameters_are_named() {
    let running = host().start();
    let problem = get(&running, "/todos?limit=101&offset=x&done=maybe&page=2").assert_problem(400).json();
    assert_eq!(fields(&problem), HashSet::from(["limit", "offset", "done", "page"]));
}

#[test]
fn concurrent_posts_are_each_stored_once() {
    let running = host().start();
    let ids = Mutex::new(HashSet::new());
    thread::scope(|scope| {
        for thread in 0..8 {
            let (running, ids) = (&running, &ids);
            scope.spawn(move || {
                for i in 0..50 {
                    let todo = add(running, &format!("{thread}-{i}"), false);
                    ids.lock().unwrap_or_else(PoisonError::into_inner).insert(todo["id"].as_i64());
                }
            });
        }
    });
    assert_eq!(ids.into_inner().unwrap().len(), 400);

    let pages: Vec<_> =
        (0..4).map(|i| get(&running, &format!("/todos?limit=100&offset={}", i * 100)).json()).collect();
    let stored: HashSet<_> = pages.iter().flat_map(titles).collect();
    assert_eq!((stored.len(), &pages[0]["total"]), (400, &json!(400)));
}

#[test]
fn todos_outlive_the_host() {
    let running = host().start();
    let todo = add(&running, "stays", true);
    let running = running.stop().start();
    assert_eq!(get(&running, "/todos/1").assert_status(200).json(), todo);
    assert_eq!(add(&running, "next", false)["id"], 2);
}

#[test]
fn versions_share_their_todos() {
    let host = host();
    deploy(&host, "1.0.0", &json!({}));
    let running = host.start();
    thread::scope(|scope| {
        for version in ["latest", "1.0.0"] {
            let path = format!("/rpc/todos@{version}/todos");
            let running = &running;
            scope.spawn(move || {
                for _ in 0..50 {
                    let json = [("content-type", "application/json")];
                    running.request("POST", &path, &json, br#"{"title": "a"}"#).assert_status(201);
                }
            });
        }
    });
    assert_eq!(get(&running, "/todos").json()["total"], 100);
}

#[test]
fn todos_outlive_a_crash_of_the_host() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let database = folder.path().join("elsewhere.sqlite3");
    let running = host_with(&json!({ "TODOS_DB": database })).start();
    let todo = add(&running, "stays", false);
    // Kills it.
    drop(running);
    let running = host_with(&json!({ "TODOS_DB": database })).start();
    assert_eq!(get(&running, "/todos/1").assert_status(200).json(), todo);
}

#[test]
fn opening_the_database_is_retried_after_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let missing = folder.path().join("missing");
    let running = host_with(&json!({ "TODOS_DB": missing.join("todos.sqlite3") })).start();
    let problem = get(&running, "/todos").assert_problem(500).json();
    assert!(!problem.to_string().contains("missing"), "{problem}");
    running.wait_for_log(|line| line.message().contains("missing/todos.sqlite3"));

    std::fs::create_dir(&missing).expect("the folder can be made");
    get(&running, "/todos").assert_status(200);
}
