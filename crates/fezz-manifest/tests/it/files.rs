//! Whole `fezz.json` files: valid ones, and the problems of invalid ones.

use fezz_manifest::{Aliases, Manifest, Methods, Mounts, Version, parse_env_file};
use http::Method;
use serde_json::{Value, json};

use crate::{expect_problems, expect_problems_in, full, parse, with};

#[test]
fn the_smallest_manifest() {
    let manifest = Manifest::parse(
        br#"{"id":"todos","version":"latest","entry":"libexample_todosapi.so",
            "routes":[{"path":"/hello","method":"GET"}]}"#,
    )
    .unwrap();
    assert_eq!(manifest.id, "todos");
    assert_eq!(manifest.version, Version::Latest);
    assert_eq!(manifest.library_file_name(), "libexample_todosapi.so");
    assert_eq!(manifest.routes.len(), 1);
    assert_eq!(manifest.routes[0].path, "/hello");
    assert_eq!(manifest.routes[0].methods, Methods::Only(vec![Method::GET]));
    assert!(manifest.env.is_empty() && manifest.secrets.is_empty());
    assert_eq!(
        (manifest.description, manifest.timeout_ms, manifest.max_body_bytes, manifest.max_concurrency),
        (None, None, None, None)
    );
}

#[test]
fn every_key() {
    let manifest = parse(&full()).unwrap();
    assert_eq!(manifest.version.to_string(), "1.4.0");
    assert_eq!(manifest.description.as_deref(), Some("Todos in SQLite"));
    assert_eq!(manifest.env["DATABASE"], "todos.db");
    assert_eq!(manifest.secrets, ["API_KEY"]);
    assert_eq!(manifest.timeout_ms, Some(5000));
    assert_eq!(manifest.max_body_bytes, Some(1_048_576));
    assert_eq!(manifest.max_concurrency, Some(64));
    let routes: Vec<_> = manifest.routes.iter().map(|r| format!("{} {}", r.methods, r.path)).collect();
    assert_eq!(routes, ["ANY /", "GET, POST /todos", "GET /todos/{id}", "PROPFIND /files/{*rest}"]);
}

#[test]
fn all_problems_of_a_file_come_at_once() {
    let text = r#"{
        "id": "Todos", "version": "1.0", "entry": "../libtodos.so", "timeout_ms": 0, "cpus": 128, "id": "x",
        "routes": [
            { "path": "/todos/:id", "method": "get" },
            { "path": "/todos/{id}", "methods": ["GET"] },
            { "path": "/todos/{id}", "method": "GET" },
            { "path": "/todos/{name}", "method": "GET" }
        ],
        "env": { "my key": "x", "PORT": 80 }
    }"#;
    expect_problems_in(
        text,
        &[
            ("$.id", "keep one of them"),
            ("$.cpus", "unknown key; remove it, the keys here are $schema, id, version"),
            ("$.id", "\"Todos\" is not an id"),
            ("$.version", "`1.0.0`"),
            ("$.entry", "not a path"),
            ("$.routes[0].path", "write `{id}`"),
            ("$.routes[0].method", "did you mean `GET`?"),
            ("$.routes[1].methods", "did you mean `method`?"),
            ("$.routes[1].method", "missing; add it, as in \"method\": \"GET\""),
            ("$.routes[3].path", "`/todos/{name}` conflicts with `/todos/{id}` at $.routes[2]"),
            ("$.env[\"my key\"]", "is not a name of a variable"),
            ("$.env.PORT", "write it as \"80\""),
            ("$.timeout_ms", "from 1 to 3600000, not 0"),
        ],
    );
}

#[test]
fn missing_keys_are_all_named() {
    let missing =
        [("$.id", "missing"), ("$.version", "missing"), ("$.entry", "missing"), ("$.routes", "missing")];
    expect_problems(&json!({}), &missing);
    for key in ["id", "version", "entry", "routes"] {
        let mut json = full();
        json.as_object_mut().unwrap().remove(key);
        expect_problems(&json, &[(&format!("$.{key}"), &format!("missing; add it, as in \"{key}\": "))]);
    }
}

#[test]
fn unknown_keys_get_a_suggestion_at_every_level() {
    expect_problems(&with("/secret", json!([])), &[("$.secret", "did you mean `secrets`?")]);
    expect_problems(&with("/timeoutMs", json!(1)), &[("$.timeoutMs", "did you mean `timeout_ms`?")]);
    expect_problems(&with("/routes/1/pth", json!("/")), &[("$.routes[1].pth", "did you mean `path`?")]);
    expect_problems(
        &with("/routes/1/zebra", json!("/")),
        &[("$.routes[1].zebra", "the keys here are path, method")],
    );
}

#[test]
fn repeated_keys_are_problems_at_every_level() {
    let text = full().to_string().replace("\"path\":\"/todos\"", "\"path\":\"/todos\",\"path\":\"/x\"");
    expect_problems_in(&text, &[("$.routes[1].path", "in the object already")]);
    let text = full().to_string().replace("\"DATABASE\":", "\"DATABASE\":\"a\",\"DATABASE\":");
    expect_problems_in(&text, &[("$.env.DATABASE", "in the object already")]);
}

#[test]
fn the_folder_must_be_id_at_version() {
    let manifest = parse(&full()).unwrap();
    let check = |folder| manifest.check_folder(folder).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(check("todos@1.4.0").is_empty());
    assert_eq!(check("todos"), ["$: the folder is named `todos`; rename it to `todos@1.4.0`"]);
    assert_eq!(
        check("todos@latest"),
        ["$.version: is `1.4.0`, but the folder `todos@latest` says `latest`; \
          rename the folder to `todos@1.4.0` or correct the version"]
    );
    let both = check("other@1.4");
    assert!(
        both.len() == 2 && both[0].starts_with("$.id: ") && both[1].starts_with("$.version: "),
        "{both:?}"
    );
    assert_eq!(check("Todos@1.4.0").len(), 1);
    assert_eq!(check("todos@1.4.0@x").len(), 1);
}

/// The files and problems shown in docs/manifest.md are correct.
#[test]
fn the_documentation_shows_real_files_and_real_problems() {
    let docs = include_str!("../../../../docs/manifest.md");
    let blocks = |language: &str| {
        let opening = format!("```{language}\n");
        let block = |rest: &'static str| rest.split_once("```").map(|(block, _)| block);
        docs.split(&opening).skip(1).filter_map(block).collect::<Vec<_>>()
    };
    let files: Vec<_> = blocks("json").into_iter().filter(|block| block.contains("\"id\"")).collect();
    let [smallest, complete, wrong] = files[..] else { panic!("three files, not {}", files.len()) };
    Manifest::parse(smallest.as_bytes()).unwrap();
    let complete: Value = serde_json::from_str(complete).unwrap();
    parse(&complete).unwrap();
    assert_eq!(complete.as_object().unwrap().len(), full().as_object().unwrap().len());
    let problems = format!("{}\n", Manifest::parse(wrong.as_bytes()).unwrap_err());
    assert!(blocks("text").contains(&problems.as_str()), "docs/manifest.md should show:\n{problems}");

    let aliases = blocks("json").into_iter().find(|block| block.contains("aliases.schema.json"));
    assert_eq!(Aliases::parse(aliases.expect("an aliases.json").as_bytes()).unwrap().iter().count(), 3);
    let mounts = blocks("json").into_iter().find(|block| block.contains("mounts.schema.json"));
    assert_eq!(Mounts::parse(mounts.expect("a mounts.json").as_bytes()).unwrap().iter().count(), 4);
    let problems = Mounts::parse(
        br#"{"todos.example.com": "todos", "Todos.example.com/": "todos", "api.example.com:8080": "api", "/rpc/todos": "todos"}"#,
    );
    let missing = Mounts::parse(br#"{"todos.example.com": "todos@lvie"}"#)
        .unwrap()
        .check(|| vec!["todos@live"], |_| false);
    for problem in missing.into_iter().chain(problems.unwrap_err()) {
        assert!(docs.contains(&format!("{problem}\n")), "docs/manifest.md should show: {problem}");
    }
    for cors in blocks("json")
        .into_iter()
        .filter(|block| block.starts_with("{ \"cors\"") || block.starts_with("{\n  \"cors\""))
    {
        let cors: Value = serde_json::from_str(cors).unwrap();
        parse(&with("/cors", cors["cors"].clone())).unwrap();
    }
    for file in blocks("shell") {
        assert!(parse_env_file(file.as_bytes()).unwrap().len() > 3);
    }
}
