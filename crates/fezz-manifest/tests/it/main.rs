//! Tests through the public API: whole files, whole tables, the committed schemas, and arbitrary input.

mod aliases;
mod checks;
mod corpus;
mod cors;
mod env_file;
mod files;
mod fuzz;
mod isolation;
mod mounts;
mod schema;
mod table;
mod values;

use fezz_manifest::{Manifest, Problem, Problems};
use serde_json::{Value, json};

/// Expects exactly these problems, each by its JSON path and a part of its message.
#[track_caller]
fn expect(problems: impl IntoIterator<Item = Problem>, expected: &[(&str, &str)]) {
    let problems: Vec<_> = problems.into_iter().collect();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (path, part)) in problems.iter().zip(expected) {
        assert_eq!(problem.path, *path, "{problems:#?}");
        assert!(problem.message.contains(part), "no {part:?} in {problems:#?}");
    }
}

/// A manifest with every key.
fn full() -> Value {
    json!({
        "$schema": "../../docs/fezz.schema.json",
        "id": "todos",
        "version": "1.4.0",
        "entry": "libexample_todosapi.so",
        "sha256": "0b2a9d1f4c6e8a7350f1e2d3c4b5a69788796a5b4c3d2e1f0123456789abcdef",
        "description": "Todos in SQLite",
        "routes": [
            { "path": "/", "method": "ANY", "upgrade": true },
            { "path": "/todos", "method": ["GET", "POST"] },
            { "path": "/todos/{id}", "method": "GET" },
            { "path": "/files/{*rest}", "method": "PROPFIND" }
        ],
        "env": { "DATABASE": "todos.db" },
        "secrets": ["API_KEY"],
        "timeout_ms": 5000,
        "max_body_bytes": 1048576,
        "max_concurrency": 64,
        "swap": "stop-first",
        "max_queue": 128,
        "queue_ms": 500,
        "max_response_bytes": 1048576,
        "max_upgrades": 10000,
        "upgrade_idle_ms": 60000,
        "isolation": "process",
        "workers": { "min": 1, "max": 4, "spare": 1 },
        "worker_concurrency": 2,
        "memory_max_bytes": 134217728,
        "sandbox": "net",
        "ports": [5432],
        "cors": {
            "origins": ["https://app.example.com"],
            "headers": ["authorization"],
            "expose": ["etag"],
            "credentials": true,
            "max_age": 600
        }
    })
}

fn parse(json: &Value) -> Result<Manifest, Problems> {
    Manifest::parse(json.to_string().as_bytes())
}

/// The full manifest with one value replaced; `pointer` is a JSON pointer to it, or to a new key.
fn with(pointer: &str, value: Value) -> Value {
    let mut json = full();
    let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
    let parent = json.pointer_mut(parent).expect("the parent exists");
    match parent {
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value,
        parent => parent[key] = value,
    }
    json
}

/// Expects exactly these problems, each by its JSON path and a part of its message.
#[track_caller]
fn expect_problems(json: &Value, expected: &[(&str, &str)]) {
    let text = json.to_string();
    expect_problems_in(&text, expected);
}

#[track_caller]
fn expect_problems_in(text: &str, expected: &[(&str, &str)]) {
    let problems = Manifest::parse(text.as_bytes()).expect_err("the manifest has problems");
    assert_eq!(problems.iter().count(), expected.len(), "{problems}");
    for (problem, (path, part)) in problems.iter().zip(expected) {
        assert_eq!(problem.path, *path, "{problems}");
        assert!(problem.message.contains(part), "no {part:?} in:\n{problems}");
    }
}
