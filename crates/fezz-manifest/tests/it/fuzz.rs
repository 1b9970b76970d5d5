//! Property tests: no input from a disk or a client makes the crate panic.

use fezz_manifest::{Found, Methods, Route, RouteTable, parse_env_file};
use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::checks::{aliases, env_file, manifest, mounts};
use crate::full;

/// The replacement of invalid UTF-8 in a lossy decoder.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Texts that resemble routes and other values, with mistakes.
fn fragments() -> impl Strategy<Value = String> {
    prop_oneof![
        "[/{}*:%.a-c0-9?# é]{0,24}",
        "(/(\\{\\{|\\}\\}|\\{\\*?[a-c]{0,2}\\}|[a-c]|%[0-9A-Fa-f]{2}|\\.)*){1,5}",
        ".{0,12}",
    ]
}

/// One edit of a text: bytes at a position replaced by others.
fn edited(text: &str, (at, cut, insert): (usize, usize, Vec<u8>)) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let start = at % (bytes.len() + 1);
    let end = (start + cut).min(bytes.len());
    bytes.splice(start..end, insert);
    bytes
}

fn edits() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    let insert = prop_oneof![vec(any::<u8>(), 0..4), "[\\[\\]{}\",:0-9a-z/*]{0,4}".prop_map(Into::into)];
    (any::<usize>(), 0usize..6, insert)
}

fn route(path: &str) -> Route {
    Route { path: path.to_owned(), methods: Methods::Only(vec![Method::GET]), upgrade: false }
}

/// Texts that resemble `.env` files, with mistakes.
fn variables() -> impl Strategy<Value = String> {
    vec("[ \t]?(export )?[AB1]{0,2}[= '\"#\\\\\r\nn$é]{0,8}", 0..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_bytes_are_aliases_or_have_problems(bytes in vec(any::<u8>(), 0..256)) {
        aliases::check(&bytes);
    }

    #[test]
    fn edited_aliases_parse_or_have_problems(edit in edits()) {
        let text = r#"{"$schema":"x","todos":{"live":{"1.2.0":90,"1.3.0":10},"b":{"latest":1}},"a":{}}"#;
        aliases::check(&edited(text, edit));
    }

    #[test]
    fn any_bytes_are_mounts_or_have_problems(bytes in vec(any::<u8>(), 0..256)) {
        mounts::check(&bytes);
    }

    #[test]
    fn edited_mounts_parse_or_have_problems(edit in edits(), second in edits()) {
        let text = r#"{"$schema":"x","a.example":"a@live","*.b.example/v1":"b","[::1]":"c@1","/s/t":"d@1.2.3"}"#;
        let once = edited(text, edit);
        mounts::check(&once);
        mounts::check(&edited(&String::from_utf8_lossy(&once), second));
    }

    #[test]
    fn any_bytes_are_variables_or_have_problems(bytes in vec(any::<u8>(), 0..256)) {
        env_file::check(&bytes);
    }

    #[test]
    fn edited_variables_parse_or_have_problems(text in variables(), edit in edits()) {
        env_file::check(text.as_bytes());
        env_file::check(&edited(&text, edit));
    }

    #[test]
    fn quoted_values_round_trip(value in "[^\\x00\r]{0,40}", other in "[a-z =\\\\'\"#\n$]{0,20}") {
        let literal = value.replace('\'', "");
        let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
        let text =
            format!("A='{literal}'\nB=\"{}\" # b\nexport C=\"{}\"", escape(&value), escape(&other));
        let variables = parse_env_file(text.as_bytes())?;
        prop_assert_eq!([&variables["A"], &variables["B"], &variables["C"]], [&literal, &value, &other]);
    }

    #[test]
    fn any_bytes_parse_or_have_problems(bytes in vec(any::<u8>(), 0..256)) {
        manifest::check(&bytes);
    }

    #[test]
    fn edited_manifests_parse_or_have_problems(edit in edits(), second in edits()) {
        let once = edited(&full().to_string(), edit);
        manifest::check(&once);
        manifest::check(&edited(&String::from_utf8_lossy(&once), second));
    }

    #[test]
    fn any_values_parse_or_have_problems(texts in [fragments(), fragments(), fragments(), fragments(), fragments()]) {
        let [id, version, entry, path, method] = texts;
        let json = serde_json::json!({
            "id": id, "version": version, "entry": entry, "env": { id.clone(): version },
            "routes": [{ "path": path, "method": method }, { "path": entry, "method": [method, "GET"] }]
        });
        manifest::check(json.to_string().as_bytes());
    }

    #[test]
    fn any_path_can_be_looked_up(patterns in vec(fragments(), 1..6), paths in vec(fragments(), 1..6)) {
        // One valid pattern, and those of the others that do not conflict.
        let mut routes = vec![route("/a/{b}/{*c}")];
        for pattern in patterns {
            routes.push(route(&pattern));
            if RouteTable::new(&routes).is_err() {
                routes.pop();
            }
        }
        let table = RouteTable::new(&routes)?;
        for path in &paths {
            if let Found::Route(found) = table.find(path, &Method::GET) {
                prop_assert_eq!(table.patterns().nth(found.index), Some(found.pattern));
                let sent = path.contains(REPLACEMENT) || path.to_ascii_uppercase().contains("%EF%BF%BD");
                let replaced = found.params.iter().any(|(_, value)| value.contains(REPLACEMENT));
                prop_assert!(sent || !replaced, "{} was decoded lossily", path);
            }
        }
    }

    /// A valid pattern means the same to matchit: it is accepted and has the same parameters.
    #[test]
    fn a_valid_pattern_is_found_by_its_own_path(pattern in fragments()) {
        let Ok(table) = RouteTable::new(&[route(&pattern)]) else { return Ok(()) };
        let mut reference = matchit::Router::new();
        prop_assert!(reference.insert(pattern.as_str(), ()).is_ok());

        // Replace every parameter by the same letter, and resolve the braces.
        let marked = pattern.replace("{{", "\u{1}").replace("}}", "\u{2}");
        let mut path = String::new();
        for piece in marked.split_inclusive('}') {
            let literal = piece.split('{').next().unwrap_or_default();
            path += literal;
            path += if piece.ends_with('}') { "v" } else { "" };
        }
        let path = path.replace('\u{1}', "{").replace('\u{2}', "}");

        let Found::Route(found) = table.find(&path, &Method::GET) else {
            return Err(TestCaseError::fail(format!("{path} is not found by {pattern}")));
        };
        let expected = reference.at(&path).expect("matchit finds it").params;
        let names: Vec<_> = found.params.iter().map(|(name, _)| name).collect();
        prop_assert_eq!(names, expected.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}
