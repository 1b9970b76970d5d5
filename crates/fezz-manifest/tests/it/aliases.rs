//! `aliases.json`: valid files, the problems of invalid ones, and versions that do not exist.

use fezz_manifest::{Aliases, MAX_FILE_BYTES};
use serde_json::{Value, json};

use crate::expect;

fn parse(json: &Value) -> Aliases {
    Aliases::parse(json.to_string().as_bytes()).expect("aliases without problems")
}

/// Each alias on a line: `todos@live 1.2.0=90 1.3.0=10`.
fn show(aliases: &Aliases) -> Vec<String> {
    let line = |(id, alias, shares): (&str, &str, &[fezz_manifest::Share])| {
        let shares: String = shares.iter().map(|s| format!(" {}={}", s.version, s.weight)).collect();
        format!("{id}@{alias}{shares}")
    };
    aliases.iter().map(line).collect()
}

#[track_caller]
fn expect_problems(text: impl AsRef<[u8]>, expected: &[(&str, &str)]) {
    expect(Aliases::parse(text.as_ref()).expect_err("the aliases have problems"), expected);
}

/// Expects one problem with the alias `live` of `todos`, or below it.
#[track_caller]
fn expect_problem(live: &Value, at: &str, part: &str) {
    let text = json!({ "todos": { "live": live } }).to_string();
    expect_problems(text, &[(&format!("$.todos.live{at}"), part)]);
}

#[test]
fn no_aliases() {
    for json in [json!({}), json!({ "$schema": "../docs/aliases.schema.json" }), json!({ "todos": {} })] {
        assert_eq!(show(&parse(&json)), [""; 0], "{json}");
    }
    assert_eq!(parse(&json!({})), Aliases::default());
}

#[test]
fn aliases_come_in_order() {
    let aliases = parse(&json!({
        "$schema": "../docs/aliases.schema.json",
        "todos": { "live": { "1.10.0": 90, "1.9.0": 10 }, "beta-2": { "latest": 1, "2.0.0-rc.1": 0 } },
        "0-hello": { "a": { "1.0.0": 1_000_000 } }
    }));
    assert_eq!(
        show(&aliases),
        ["0-hello@a 1.0.0=1000000", "todos@beta-2 2.0.0-rc.1=0 latest=1", "todos@live 1.9.0=10 1.10.0=90"]
    );
}

#[test]
fn the_order_in_the_file_changes_nothing() {
    let one = Aliases::parse(br#"{"a":{"x":{"1.0.0":1,"2.0.0":2},"y":{"1.0.0":1}}}"#).unwrap();
    let other = Aliases::parse(br#"{"a":{"y":{"1.0.0":1},"x":{"2.0.0":2,"1.0.0":1}}}"#).unwrap();
    assert_eq!(one, other);
}

#[test]
fn all_problems_of_a_file_come_at_once() {
    let text = r#"{
        "$schema": 1,
        "Todos": { "live": { "1.2": 1 } },
        "todos": { "1": { "1.0.0": -1, "1.0": 1.5 }, "latest": { "1.0.0": 0 }, "b": {}, "b": "1.0.0" },
        "todos": []
    }"#;
    expect_problems(
        text,
        &[
            ("$.todos", "in the object already; keep one of them"),
            ("$.$schema", "must be a string"),
            ("$.Todos", "is not the id of a function; use 1 to 63 of"),
            ("$.Todos.live[\"1.2\"]", "write all three numbers: `1.2.0`"),
            ("$.todos.b", "in the object already"),
            ("$.todos[\"1\"]", "is not a name of an alias; use 1 to 63 of"),
            ("$.todos[\"1\"][\"1.0.0\"]", "from 0 to 1000000, not -1"),
            ("$.todos[\"1\"][\"1.0\"]", "`1.0.0`"),
            ("$.todos[\"1\"][\"1.0\"]", "not 1.5"),
            ("$.todos.latest", "is a version, and cannot be an alias too"),
            ("$.todos.latest", "has no weight above 0"),
            ("$.todos.b", "names no version; add one"),
            ("$.todos.b", "write {\"1.0.0\": 1}"),
            ("$.todos", "must be an object { … }, not a list"),
        ],
    );
}

#[test]
fn files_that_are_no_object() {
    for text in ["[]", "null", "\"x\"", "1"] {
        expect_problems(text, &[("$", "must be an object")]);
    }
    expect_problems("", &[("$", "the file is empty; it must hold a JSON object, which is {} where")]);
    expect_problems("{", &[("$", "the file ends too early")]);
    expect_problems("\u{feff}{}", &[("$", "byte order mark")]);
    expect_problems(vec![b' '; MAX_FILE_BYTES + 1], &[("$", "at most 262144")]);
}

#[test]
fn names() {
    for alias in ["a", "live", "beta_2-x", "latest2", "v1", &"a".repeat(63)] {
        assert_eq!(parse(&json!({ "todos": { alias: { "1.0.0": 1 } } })).iter().next().unwrap().1, alias);
    }
    for alias in ["", "1", "1.2", "1.2.0", "-a", "_a", "Live", "a.b", "a@b", "a b", "é", &"a".repeat(64)] {
        let text = json!({ "todos": { alias: { "1.0.0": 1 } } }).to_string();
        let problems = Aliases::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(problems.contains("is not a name of an alias") && !problems.contains('\n'), "{problems}");
    }
    for id in ["", "Todos", "_a", "a@b", "$Schema", &"a".repeat(64)] {
        let problems = Aliases::parse(json!({ id: {} }).to_string().as_bytes()).unwrap_err().to_string();
        assert!(problems.contains("is not the id of a function"), "{problems}");
    }
}

#[test]
fn versions() {
    expect_problem(&json!({ "v1.2.0": 1 }), "[\"v1.2.0\"]", "leave out the `v`");
    expect_problem(&json!({ "1.2.0+7": 1 }), "[\"1.2.0+7\"]", "build metadata");
    expect_problem(&json!({ "stable": 1 }), ".stable", "`stable` is not a version");
    expect_problem(&json!({}), "", "names no version");
    expect_problem(&json!("latest"), "", "must be an object, not a string; write {\"latest\": 1}");
    expect_problem(&json!("stable"), "", "must be an object { … }, not a string");
    expect_problem(&json!(["1.2.0"]), "", "must be an object { … }, not a list");
    expect_problems(
        r#"{"todos":{"live":{"1.2.0":1,"1.2.0":2}}}"#,
        &[("$.todos.live[\"1.2.0\"]", "in the object already")],
    );
}

#[test]
fn weights() {
    for (weight, shown) in [
        (json!(-1), "-1"),
        (json!(1_000_001), "1000001"),
        (json!(0.5), "0.5"),
        (json!("90"), "a string"),
        (Value::Null, "null"),
    ] {
        let part = format!("must be a whole number from 0 to 1000000, not {shown}");
        expect_problem(&json!({ "1.2.0": weight }), "[\"1.2.0\"]", &part);
    }
    expect_problem(&json!({ "1.2.0": 0, "1.3.0": 0 }), "", "has no weight above 0");
    // The invalid entry may be the one with a weight above 0.
    expect_problem(&json!({ "1.2.0": 0, "1.3": 1 }), "[\"1.3\"]", "all three numbers");
}

#[test]
fn versions_that_do_not_exist_are_named_whatever_their_weight() {
    let aliases = parse(&json!({
        "todos": { "live": { "1.2.0": 90, "1.3.0": 10, "1.4.0": 0 }, "next": { "latest": 1 } },
        "0-hello": { "live": { "1.2.0": 1 } }
    }));
    assert_eq!(aliases.check(|_, _| true), []);
    let problems = aliases.check(|id, version| id == "todos" && version.to_string() == "1.2.0");
    expect(
        problems,
        &[
            (
                "$[\"0-hello\"].live[\"1.2.0\"]",
                "there is no function `0-hello@1.2.0`; deploy it first, or take it out",
            ),
            ("$.todos.live[\"1.3.0\"]", "there is no function `todos@1.3.0`"),
            ("$.todos.live[\"1.4.0\"]", "there is no function `todos@1.4.0`"),
            ("$.todos.next.latest", "there is no function `todos@latest`"),
        ],
    );
}
