//! The committed JSON Schemas are current, and agree with the parser.

use std::path::Path;

use fezz_manifest::{
    Aliases, MAX_SECRETS, MAX_WEIGHT, Mounts, aliases_json_schema, json_schema, mounts_json_schema,
};
use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::{Value, json};

use crate::{parse, with};

#[test]
fn the_committed_schema_is_current() {
    check_committed("fezz.schema.json", &json_schema());
}

#[test]
fn the_committed_schema_of_aliases_is_current() {
    check_committed("aliases.schema.json", &aliases_json_schema());
}

#[test]
fn the_committed_schema_of_mounts_is_current() {
    check_committed("mounts.schema.json", &mounts_json_schema());
}

/// The schema of the value of a place in `mounts.json`, and the pattern of the place.
fn mounted_schema() -> (String, Value) {
    let schema: Value = serde_json::from_str(&mounts_json_schema()).expect("the schema is JSON");
    let patterns = schema["patternProperties"].as_object().expect("patterns");
    let (pattern, function) = patterns.iter().next().expect("one pattern");
    (pattern.clone(), function.clone())
}

#[track_caller]
fn check_committed(file: &str, current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
    if std::env::var_os("FEZZ_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, current).expect("docs/ can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    // Compared as values: the order of keys depends on a feature of serde_json, which any crate of the workspace can
    // enable.
    let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
    assert!(
        committed == serde_json::from_str::<Value>(current).expect("the schema is JSON"),
        "docs/{file} is not what fezz-manifest gives; \
         run `FEZZ_BLESS=1 cargo test -p fezz-manifest` and commit the file"
    );
}

fn schema() -> Value {
    serde_json::from_str(&json_schema()).expect("the schema is JSON")
}

fn aliases_schema() -> Value {
    serde_json::from_str(&aliases_json_schema()).expect("the schema is JSON")
}

/// The schema of the value of an id in `aliases.json`, and the pattern of the id.
fn named_schema() -> (String, Value) {
    let schema = aliases_schema();
    let patterns = schema["patternProperties"].as_object().expect("patterns");
    let (pattern, named) = patterns.iter().next().expect("one pattern");
    (pattern.clone(), named.clone())
}

/// Texts that match a pattern of the schema.
fn texts(pointer: &str) -> impl Strategy<Value = String> {
    let schema = schema();
    matching(schema.pointer(pointer).and_then(Value::as_str).expect("a pattern"))
}

fn matching(pattern: &str) -> impl Strategy<Value = String> + use<> {
    let inner =
        pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).expect("an anchored pattern");
    // JSON Schema uses ECMAScript's syntax for code points, which differs from that of the regex crates.
    string_regex(&inner.replace(r"\u00", r"\x")).expect("a pattern that can be generated")
}

#[test]
fn objects_are_closed_and_require_what_the_parser_requires() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["id", "version", "entry", "routes"]));
    let route = &schema["properties"]["routes"]["items"];
    assert_eq!(route["additionalProperties"], false);
    assert_eq!(route["required"], json!(["path", "method"]));
}

/// The parser's list of keys is in its message about an unknown key.
#[test]
fn both_know_the_same_keys() {
    let schema = schema();
    let check = |properties: &Value, prefix: &str| {
        let keys: Vec<_> = properties.as_object().expect("properties").keys().cloned().collect();
        let problems =
            parse(&with(&format!("{prefix}/zzz"), json!(1))).expect_err("zzz is unknown").to_string();
        let (_, known) = problems.split_once("the keys here are ").expect("a list of keys");
        let mut known: Vec<_> = known.split(", ").map(str::to_owned).collect();
        known.sort();
        let mut keys = keys;
        keys.sort();
        assert_eq!(keys, known);
    };
    check(&schema["properties"], "");
    check(&schema["properties"]["routes"]["items"]["properties"], "/routes/0");
    check(&schema["properties"]["cors"]["anyOf"][1]["properties"], "/cors");
}

#[test]
fn both_have_the_same_limits() {
    let schema = schema();
    for key in [
        "timeout_ms",
        "max_body_bytes",
        "max_concurrency",
        "max_queue",
        "queue_ms",
        "max_response_bytes",
        "max_upgrades",
        "upgrade_idle_ms",
    ] {
        let property = &schema["properties"][key];
        assert_eq!(property["type"], "integer", "{key}");
        let limit = |name: &str| property[name].as_u64().expect("a limit");
        let accepts = |value: Value| parse(&with(&format!("/{key}"), value)).is_ok();
        assert!(accepts(json!(limit("minimum"))) && accepts(json!(limit("maximum"))), "{key}");
        assert!(!accepts(json!(limit("maximum") + 1)), "{key}");
        let below = i64::try_from(limit("minimum")).expect("a small number") - 1;
        assert!(!accepts(json!(below)), "{key}");
    }
}

#[test]
fn nothing_in_the_schema_is_nullable_and_no_format_is_foreign() {
    let text = json_schema();
    assert!(!text.contains("null") && !text.contains("uint"), "{text}");
    assert!(text.matches("\"description\"").count() >= 12);
}

#[test]
fn both_have_the_same_rules_for_secrets() {
    let secrets = &schema()["properties"]["secrets"];
    assert_eq!((&secrets["type"], &secrets["uniqueItems"]), (&json!("array"), &json!(true)));
    assert_eq!(secrets["maxItems"], json!(MAX_SECRETS));
    assert_eq!(secrets["items"]["pattern"], schema()["properties"]["env"]["propertyNames"]["pattern"]);
}

#[test]
fn both_have_the_same_rules_for_aliases() {
    let schema = aliases_schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"].as_object().expect("properties").len(), 1);
    let (_, named) = named_schema();
    assert_eq!(named["propertyNames"]["not"], json!({ "const": "latest" }));
    let weights = &named["additionalProperties"];
    assert_eq!(weights["minProperties"], 1);
    let weight = &weights["additionalProperties"];
    assert_eq!((&weight["minimum"], &weight["maximum"]), (&json!(0), &json!(MAX_WEIGHT)));
}

/// Rules for a path that are not in the schema.
const BEYOND_A_PATTERN: [&str; 6] =
    ["as a segment", "needs no encoding", "encoded dot", "control character", "two parameters", "at most 16"];

proptest! {
    #[test]
    fn ids_of_the_schema_parse(id in texts("/properties/id/pattern")) {
        parse(&with("/id", json!(id)))?;
    }

    #[test]
    fn versions_of_the_schema_parse(version in texts("/properties/version/pattern")) {
        // The semver crate refuses numbers beyond u64; the length is a separate rule.
        let digits = version.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
        if version.len() <= 128 && digits < Some(19) {
            parse(&with("/version", json!(version)))?;
        }
    }

    #[test]
    fn variables_of_the_schema_parse(key in texts("/properties/env/propertyNames/pattern")) {
        parse(&with("/env", json!({ key: "" })))?;
    }

    #[test]
    fn secrets_of_the_schema_parse(name in texts("/properties/secrets/items/pattern")) {
        if name != "DATABASE" {
            parse(&with("/secrets", json!([name])))?;
        }
    }

    #[test]
    fn aliases_of_the_schema_parse(
        id in matching(&named_schema().0),
        alias in matching(named_schema().1["propertyNames"]["pattern"].as_str().expect("a pattern")),
        weight in 1..=MAX_WEIGHT,
    ) {
        if alias != "latest" {
            let text = json!({ id: { alias: { "1.0.0": weight } } }).to_string();
            Aliases::parse(text.as_bytes())?;
        }
    }

    #[test]
    fn mounted_functions_of_the_schema_parse(
        function in matching(mounted_schema().1["pattern"].as_str().expect("a pattern")),
    ) {
        // As for versions.
        let digits = function.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
        if function.len() <= 128 && digits < Some(19) {
            Mounts::parse(json!({ "/x": function }).to_string().as_bytes())?;
        }
    }

    #[test]
    fn places_of_the_schema_parse_where_they_are_plain(place in matching(&mounted_schema().0)) {
        let is_plain = |c: char| c.is_ascii_lowercase() || "./".contains(c);
        let parsed = Mounts::parse(json!({ place.clone(): "f" }).to_string().as_bytes());
        if place.chars().all(is_plain) && !place.contains("..") && !place.contains("./") && !place.contains("//")
            && !place.starts_with('.') && !place.is_empty() && !place.contains("/.")
        {
            parsed?;
        }
    }

    #[test]
    fn entries_of_the_schema_parse(entry in texts("/properties/entry/pattern")) {
        if let Err(problems) = parse(&with("/entry", json!(entry))) {
            // Non-ASCII control characters, blank names and dots are left to the parser.
            let beyond = ["control characters", "must not be empty", "must not hold `..`"];
            prop_assert!(beyond.iter().any(|part| problems.to_string().contains(part)), "{}", problems);
        }
    }

    #[test]
    fn paths_of_the_schema_parse(path in texts("/properties/routes/items/properties/path/pattern")) {
        if !(1..=1024).contains(&path.len()) {
            return Ok(());
        }
        let routes = json!([{ "path": path, "method": "GET" }]);
        if let Err(problems) = parse(&with("/routes", routes)) {
            for problem in &problems {
                let beyond = BEYOND_A_PATTERN.iter().any(|part| problem.message.contains(part));
                prop_assert!(beyond, "{}", problem);
            }
        }
    }
}
