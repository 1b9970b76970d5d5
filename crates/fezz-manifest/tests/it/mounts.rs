//! `mounts.json`: valid files, the problems of invalid ones, and which mount a request is for.

use fezz_manifest::{MountHost, MountTable, Mounts};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::expect;

fn parse(json: &Value) -> Mounts {
    Mounts::parse(json.to_string().as_bytes()).expect("mounts without problems")
}

fn show(mounts: &Mounts) -> Vec<String> {
    mounts.iter().map(|mount| format!("{} -> {}", mount.place, mount.function)).collect()
}

#[track_caller]
fn expect_problems(text: impl AsRef<[u8]>, expected: &[(&str, &str)]) {
    expect(Mounts::parse(text.as_ref()).expect_err("the mounts have problems"), expected);
}

/// Expects one problem with a key.
#[track_caller]
fn expect_bad_place(key: &str, part: &str) {
    let problems = Mounts::parse(json!({ key: "todos" }).to_string().as_bytes()).expect_err(key);
    let problems: Vec<_> = problems.into_iter().collect();
    assert_eq!(problems.len(), 1, "{key}: {problems:#?}");
    assert!(problems[0].message.contains(part), "{key}: no {part:?} in {problems:#?}");
}

#[test]
fn no_mounts() {
    for json in [json!({}), json!({ "$schema": "../docs/mounts.schema.json" })] {
        assert_eq!(parse(&json), Mounts::default());
    }
}

#[test]
fn mounts_come_in_order_of_precedence_in_one_form() {
    let mounts = parse(&json!({
        "$schema": "x",
        "/": "a",
        "/shop/": "a@1",
        "/shop/new": "a@1.2",
        "*.Example.com.": "a@latest",
        "*.eu.example.com/v1": "a@1.2.3-rc.1",
        "TODOS.example.com./": "todos@live",
        "todos.example.com/v1": "a-b_c",
        "bücher.example": "a",
        "127.0.0.1": "a",
        "[0:0::1]/x": "a",
        "localhost": "a"
    }));
    assert_eq!(
        show(&mounts),
        [
            "127.0.0.1 -> a",
            "[::1]/x -> a",
            "localhost -> a",
            "todos.example.com/v1 -> a-b_c",
            "todos.example.com -> todos@live",
            "xn--bcher-kva.example -> a",
            "*.eu.example.com/v1 -> a@1.2.3-rc.1",
            "*.example.com -> a@latest",
            "/shop/new -> a@1.2",
            "/shop -> a@1",
            "/ -> a"
        ]
    );
}

#[test]
fn the_same_place_in_another_spelling_is_named() {
    for (one, other) in [
        ("a.example", "A.Example"),
        ("a.example", "a.example/"),
        ("a.example", "a.example."),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "bücher.example"),
        ("*.a.example/x", "*.A.example./x/"),
        ("[::1]", "[0:0:0:0:0:0:0:1]"),
        ("/shop", "/shop/"),
    ] {
        let text = format!(r#"{{"{one}": "a", "{other}": "b"}}"#);
        let problems = Mounts::parse(text.as_bytes()).expect_err(other).to_string();
        assert!(problems.contains(&format!("is the same place as {one:?}; keep one")), "{problems}");
    }
    expect_problems(r#"{"/a": "a", "/a": "b"}"#, &[("$[\"/a\"]", "in the object already; keep one")]);
}

#[test]
fn all_problems_of_a_file_come_at_once() {
    let text = r#"{
        "$schema": 1,
        "https://a.example/x": "todos",
        "a.example:80": "todos",
        "/rpc/x": "Todos",
        "/a/../b": {"1.0.0": 1},
        "/ok": 3,
        "b.example": "/rpc/todos@live",
        "B.example/": "todos"
    }"#;
    expect_problems(
        text,
        &[
            ("$.$schema", "must be a string"),
            ("$[\"https://a.example/x\"]", "leave out the `https://`; write `a.example/x`"),
            ("$[\"a.example:80\"]", "has a port, and a mount holds on each one; write `a.example`"),
            ("$[\"/rpc/x\"]", "is below `/rpc`"),
            ("$[\"/rpc/x\"]", "\"Todos\" is not the name of a function"),
            ("$[\"/a/../b\"]", "holds `.` or `..` as a segment"),
            ("$[\"/a/../b\"]", "a traffic split is an alias of aliases.json"),
            ("$[\"/ok\"]", "must be a string; write it as \"3\""),
            ("$[\"b.example\"]", "write the function alone: \"todos@live\""),
            ("$[\"B.example/\"]", "is the same place as \"b.example\""),
        ],
    );
}

#[test]
fn places_that_are_none() {
    for (key, part) in [
        ("", "is no place"),
        ("HTTP://a.example", "leave out the `http://`; write `a.example`"),
        ("[::1]:8080/x", "has a port, and a mount holds on each one; write `[::1]`"),
        ("[::1", "is not an IPv6 address"),
        ("[::g]", "is not an IPv6 address"),
        ("*", "write `/` for every host"),
        ("*/x", "write `/` for every host"),
        ("*a.example", "has a `*` that is not the first label alone"),
        ("a.*.example", "has a `*`"),
        ("*.*.example", "has a `*`"),
        ("*.10.0.0.1", "a wildcard over addresses"),
        ("*.", "is not a host name"),
        ("a..example", "is not a host name"),
        (".example", "is not a host name"),
        ("a example", "is not a host name"),
        ("a@b.example", "is not a host name"),
        ("a.example?x", "is not a host name"),
        ("xn--zzzzzz", "is not a host name"),
        ("a%2eexample", "is not a host name"),
        (&"a".repeat(64), "is not a host name"),
        (&format!("{}a", "a.".repeat(127)), "is not a host name"),
        ("10.0.0.256", "is no IPv4 address"),
        ("10.1", "is no IPv4 address"),
        ("/rpc", "is below `/rpc`"),
        ("/rpc/", "is below `/rpc`"),
        ("a.example/rpc/todos", "is below `/rpc`"),
        ("//", "holds `//`"),
        ("/a//b", "holds `//`"),
        ("/a/./b", "as a segment"),
        ("/{id}", "a prefix has no parameters"),
        ("/%61", "write `a`"),
        ("/%2e%2e", "an encoded dot"),
        ("/%c3", "write `%C3`"),
        ("/é", "write it percent-encoded: `%C3%A9`"),
        ("/a?b", "holds `?`"),
        ("/a b", "write it percent-encoded"),
        (&format!("/{}", "a".repeat(1024)), "has 1025 bytes"),
    ] {
        expect_bad_place(key, part);
    }
    for key in ["/rpcs", "/RPC", "/rpc-docs/x", "a_b.internal", "*.com", "/%C3%A9", "xn--bcher-kva.example"] {
        parse(&json!({ key: "todos" }));
    }
}

#[test]
fn functions() {
    for name in
        ["a", "0-x", "todos@latest", "todos@1", "todos@0.1", "todos@1.2.3", "todos@1.2.3-rc.1", "todos@live"]
    {
        assert_eq!(parse(&json!({ "/x": name })).iter().next().unwrap().function, name);
    }
    for name in
        ["", "Todos", "todos@", "todos@v1", "todos@01", "todos@1.2.3.4", "todos@1.", "@1", "a@b@c", "a b"]
    {
        let is_alias_like = name == "todos@v1";
        let parsed = Mounts::parse(json!({ "/x": name }).to_string().as_bytes());
        assert_eq!(parsed.is_ok(), is_alias_like, "{name}");
    }
}

#[test]
fn functions_that_do_not_exist_are_named_with_what_may_be_meant() {
    let mounts = parse(&json!({ "a.example": "todos@live", "/x": "todos@lvie", "/y": "shop" }));
    let names = || vec!["todos", "todos@1.0.0", "todos@live"];
    let problems = mounts.check(names, |name| names().contains(&name));
    expect(
        problems,
        &[
            (
                "$[\"/x\"]",
                "there is no function or alias `todos@lvie`; did you mean `todos@live`? Else deploy it first",
            ),
            ("$[\"/y\"]", "there is no function or alias `shop`; deploy it first, or take it out"),
        ],
    );
}

/// The mounts of the table below, each named for its place.
const PLACES: [&str; 11] = [
    "a.example",
    "a.example/v1",
    "a.example/v1/admin",
    "b.example/only",
    "*.example",
    "*.sub.example",
    "*.sub.example/v1",
    "[2001:db8::1]",
    "10.0.0.1",
    "/shop",
    "/shop/new",
];

#[test]
fn precedence() {
    let mounts: serde_json::Map<_, _> =
        PLACES.iter().map(|place| ((*place).to_owned(), json!("f"))).collect();
    let mounts = parse(&mounts.into());
    let table = MountTable::new(&mounts);
    for (host, path, expected) in [
        // An exact host, and the longest prefix on whole segments.
        ("a.example", "/", Some("a.example|/")),
        ("a.example", "/v1", Some("a.example/v1|")),
        ("a.example", "/v1/", Some("a.example/v1|/")),
        ("a.example", "/v1/x", Some("a.example/v1|/x")),
        ("a.example", "/v12", Some("a.example|/v12")),
        ("a.example", "/v1/admin", Some("a.example/v1/admin|")),
        ("a.example", "/v1/admins", Some("a.example/v1|/admins")),
        ("a.example", "/V1", Some("a.example|/V1")),
        ("a.example", "/%761", Some("a.example|/%761")),
        // However it is written.
        ("A.EXAMPLE:8080", "/v1/x", Some("a.example/v1|/x")),
        ("a.example.:80", "/", Some("a.example|/")),
        ("[2001:DB8:0::1]:80", "/", Some("[2001:db8::1]|/")),
        ("[2001:db8::1]", "/", Some("[2001:db8::1]|/")),
        ("10.0.0.1:80", "/", Some("10.0.0.1|/")),
        // Any host stands over none, also with a shorter prefix.
        ("a.example", "/shop/new", Some("a.example|/shop/new")),
        ("x.example", "/shop/new", Some("*.example|/shop/new")),
        // Wildcards, from the longest name to the shortest; they do not hold for the name itself.
        ("x.example", "/", Some("*.example|/")),
        ("y.x.example", "/", Some("*.example|/")),
        ("x.sub.example", "/", Some("*.sub.example|/")),
        ("x.sub.example", "/v1/x", Some("*.sub.example/v1|/x")),
        ("sub.example", "/v1/x", Some("*.example|/v1/x")),
        ("example", "/", None),
        ("xexample", "/", None),
        // Where a host has no fitting prefix, the next one is tried.
        ("b.example", "/only/x", Some("b.example/only|/x")),
        ("b.example", "/other", Some("*.example|/other")),
        // No host, and others.
        ("", "/shop", Some("/shop|")),
        ("", "/shop/news", Some("/shop|/news")),
        ("", "/shop/new/1", Some("/shop/new|/1")),
        ("other", "/shops", None),
        ("other", "/", None),
        ("[::2]", "/", None),
        ("[bad", "/shop", Some("/shop|")),
        ("a b\u{fc}", "/shop", Some("/shop|")),
        // Functions by their names stay reachable on every host.
        ("a.example", "/rpc", None),
        ("a.example", "/rpc/", None),
        ("a.example", "/rpc/x/y", None),
        ("a.example", "/rpcs/x", Some("a.example|/rpcs/x")),
        ("a.example", "*", None),
        ("a.example", "", None),
        // Not ASCII, and longer than any prefix.
        ("", "/shop/né", Some("/shop|/né")),
        ("", "/é/é/é/é/é/é/é", None),
    ] {
        let found = table.find(Some(host.as_bytes()), path).map(|found| {
            let place = &mounts.iter().nth(found.index).expect("a mount").place;
            format!("{place}|{}", &path[found.prefix_len..])
        });
        assert_eq!(found.as_deref(), expected, "{host} {path}");
    }
    assert_eq!(table.find(None, "/shop/x").map(|found| found.prefix_len), Some(5));
    assert_eq!(table.find(None, "/x"), None);
    assert_eq!(table.find(Some(b"\xff"), "/"), None);
}

/// What the documentation says, without a table: of all mounts that cover the request, the first in their order.
fn naive(mounts: &Mounts, host: &str, path: &str) -> Option<(usize, usize)> {
    if path == "/rpc" || path.starts_with("/rpc/") {
        return None;
    }
    let name = host.split(':').next().unwrap_or_default().to_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    mounts.iter().enumerate().find_map(|(index, mount)| {
        let of_host = match &mount.place.host {
            MountHost::Exact(exact) => exact == name,
            MountHost::Below(suffix) => name.ends_with(&format!(".{suffix}")),
            MountHost::Any => true,
        };
        let rest = path.strip_prefix(&mount.place.prefix)?;
        (of_host && (rest.is_empty() || rest.starts_with('/'))).then_some((index, mount.place.prefix.len()))
    })
}

fn hosts() -> impl Strategy<Value = String> {
    "([ab]\\.){0,3}[ab]"
}

fn paths() -> impl Strategy<Value = String> {
    "(/(a|b|ab|rpc|é)){0,4}/?"
}

proptest! {
    #[test]
    fn the_table_finds_what_the_rules_say(
        places in proptest::collection::vec(("(\\*\\.)?", hosts(), any::<bool>(), "(/(a|b|ab)){0,3}"), 0..12),
        requests in proptest::collection::vec((hosts(), "(:80|\\.|\\.:1)?", paths()), 1..20),
    ) {
        let mut keys = serde_json::Map::new();
        for (wildcard, host, has_host, prefix) in places {
            let key = if has_host { format!("{wildcard}{host}{prefix}") } else { prefix };
            keys.insert(if key.is_empty() { "/".to_owned() } else { key }, json!("f"));
        }
        let mounts = parse(&keys.into());
        let table = MountTable::new(&mounts);
        for (host, port, path) in requests {
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let host = format!("{}{port}", host.to_uppercase());
            let found = table.find(Some(host.as_bytes()), &path).map(|found| (found.index, found.prefix_len));
            prop_assert_eq!(found, naive(&mounts, &host, &path), "{} {}", host, path);
        }
    }
}
