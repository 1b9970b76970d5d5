//! The value of each key: its type, its limits and its rules.

use fezz_manifest::{Manifest, Methods, Swap};
use serde_json::{Value, json};

use crate::{expect_problems, full, parse, with};

#[test]
fn wrong_types_are_reported_at_their_place() {
    for json in [json!(null), json!([]), json!("x"), json!(1)] {
        expect_problems(&json, &[("$", "must be an object")]);
    }
    for key in ["$schema", "id", "version", "entry", "description"] {
        let at = format!("$.{key}");
        expect_problems(&with(&format!("/{key}"), json!(7)), &[(&at, "must be a string; write it as \"7\"")]);
        expect_problems(&with(&format!("/{key}"), Value::Null), &[(&at, "not null")]);
        expect_problems(&with(&format!("/{key}"), json!([])), &[(&at, "must be a string, not a list")]);
    }
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
        let at = format!("$.{key}");
        for (value, shown) in [
            (json!("5"), "a string"),
            (json!(-1), "-1"),
            (json!(1.5), "1.5"),
            (json!(5.0), "5.0"),
            (Value::Null, "null"),
        ] {
            expect_problems(&with(&format!("/{key}"), value), &[(&at, &format!("not {shown}"))]);
        }
    }
    expect_problems(&with("/env", json!([])), &[("$.env", "must be an object { … }, not a list")]);
    expect_problems(&with("/routes", json!({})), &[("$.routes", "must be a list of routes, not an object")]);
    expect_problems(&with("/routes/1", json!("/x")), &[("$.routes[1]", "must be an object")]);
    expect_problems(&with("/routes/1/path", json!(1)), &[("$.routes[1].path", "must be a string")]);
    expect_problems(&with("/routes/1/method", json!(1)), &[("$.routes[1].method", "or a list of methods")]);
    expect_problems(&with("/routes/1/method", json!(["GET", 1])), &[("$.routes[1].method[1]", "a string")]);
}

#[test]
fn ids() {
    for id in ["a", "0", "todos", "my-fn_2", &"a".repeat(63)] {
        assert_eq!(parse(&with("/id", json!(id))).unwrap().id, id);
    }
    for id in ["", "Todos", "-a", "_a", "a b", "a.b", "a@b", "a/b", "é", "a\0", &"a".repeat(64)] {
        expect_problems(&with("/id", json!(id)), &[("$.id", "use 1 to 63 of")]);
    }
}

#[test]
fn limits_are_inclusive() {
    for (key, low, high) in [
        ("timeout_ms", 1u64, 3_600_000u64),
        ("max_body_bytes", 0, 4 << 30),
        ("max_concurrency", 1, 65_536),
        ("max_queue", 0, 1 << 20),
        ("queue_ms", 0, 3_600_000),
        ("max_response_bytes", 0, 4 << 30),
        ("max_upgrades", 0, 1 << 20),
        ("upgrade_idle_ms", 0, 86_400_000),
    ] {
        let at = format!("$.{key}");
        let expected = format!("from {low} to {high}");
        for good in [low, high] {
            assert!(parse(&with(&format!("/{key}"), json!(good))).is_ok(), "{key} {good}");
        }
        for bad in [json!(high + 1), json!(u64::MAX), json!(1e300)] {
            expect_problems(&with(&format!("/{key}"), bad), &[(&at, &expected)]);
        }
    }
}

#[test]
fn environment() {
    for key in ["A", "_", "a_1", "PATH"] {
        assert_eq!(parse(&with(&format!("/env/{key}"), json!(""))).unwrap().env[key], "");
    }
    for key in ["", "1A", "A-B", "A B", "É", "A=B"] {
        let text = json!({ key: "" }).to_string();
        let json = full().to_string().replace("{\"DATABASE\":\"todos.db\"}", &text);
        let problems = Manifest::parse(json.as_bytes()).unwrap_err();
        assert!(problems.to_string().contains("is not a name of a variable"), "{problems}");
    }
    expect_problems(&with("/env/A", json!("x\0")), &[("$.env.A", "NUL")]);
    expect_problems(&with("/env/A", json!(true)), &[("$.env.A", "write it as \"true\"")]);
}

#[test]
fn sha256() {
    let digest = "0123456789abcdef".repeat(4);
    assert_eq!(parse(&with("/sha256", json!(digest))).unwrap().sha256, Some(digest.clone()));
    for value in [digest.to_uppercase(), digest[1..].to_owned(), format!("{digest}0"), "g".repeat(64)] {
        expect_problems(&with("/sha256", json!(value)), &[("$.sha256", "is not a SHA-256")]);
    }
    expect_problems(&with("/sha256", json!(7)), &[("$.sha256", "must be a string")]);
}

#[test]
fn secrets() {
    let secrets = |names: Value| with("/secrets", names);
    for names in [json!([]), json!(["A", "_", "a_1", "PATH"])] {
        assert_eq!(json!(parse(&secrets(names.clone())).unwrap().secrets), names);
    }
    for (value, kind) in [(json!({ "A": "x" }), "an object"), (json!("A"), "a string"), (Value::Null, "null")]
    {
        let part = format!("must be a list of names, not {kind}; write [\"API_KEY\"]");
        expect_problems(&secrets(value), &[("$.secrets", &part)]);
    }
    expect_problems(
        &secrets(json!(["A", "1A", "", 7, "A-B", "A", "DATABASE", null])),
        &[
            ("$.secrets[1]", "is not a name of a variable"),
            ("$.secrets[2]", "is not a name of a variable"),
            ("$.secrets[3]", "must be a string"),
            ("$.secrets[4]", "is not a name of a variable"),
            ("$.secrets[5]", "`A` is in the list already; remove one of them"),
            ("$.secrets[6]", "`DATABASE` is set in `env` too; remove it here or there"),
            ("$.secrets[7]", "must be a string, not null"),
        ],
    );
    let many = |count| (0..count).map(|i| format!("A{i}")).collect::<Vec<_>>();
    assert!(parse(&secrets(json!(many(256)))).is_ok());
    expect_problems(&secrets(json!(many(257))), &[("$.secrets", "has 257 names; at most 256 are allowed")]);
}

#[test]
fn a_secret_in_place_of_its_name_is_not_shown() {
    let problems = parse(&with("/secrets", json!(["API_KEY=hunter2"]))).unwrap_err();
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}

#[test]
fn methods() {
    let methods = |value| parse(&with("/routes/1/method", value)).unwrap().routes.remove(1).methods;
    assert_eq!(methods(json!("ANY")), Methods::Any);
    assert_eq!(methods(json!(["GET", "PROPFIND"])).to_string(), "GET, PROPFIND");

    let at = "$.routes[1].method";
    expect_problems(&with("/routes/1/method", json!([])), &[(at, "must name a method")]);
    expect_problems(&with("/routes/1/method", json!("TRACE")), &[(at, "not served")]);
    let bad = json!(["GET", "ANY", "get", "CONNECT"]);
    let problems = [("[1]", "ANY stands alone"), ("[2]", "did you mean `GET`?"), ("[3]", "not served")];
    let problems = problems.map(|(index, part)| (format!("{at}{index}"), part));
    let problems: Vec<_> = problems.iter().map(|(path, part)| (path.as_str(), *part)).collect();
    expect_problems(&with("/routes/1/method", bad), &problems);
    expect_problems(
        &with("/routes/1/method", json!(["GET", "PUT", "GET"])),
        &[("$.routes[1].method[2]", "`GET` is in the list already")],
    );
    let many: Vec<_> = (0..65).map(|i| format!("M-{i}-EXTENSION")).collect();
    expect_problems(&with("/routes/1/method", json!(many)), &[(at, "at most 64")]);
}

#[test]
fn a_route_says_whether_it_may_upgrade() {
    let upgrade = |value| parse(&with("/routes/1/upgrade", value));
    assert!(
        upgrade(json!(true)).unwrap().routes[1].upgrade && !upgrade(json!(false)).unwrap().routes[1].upgrade
    );
    assert!(!parse(&full()).unwrap().routes[1].upgrade);
    for (bad, shown) in [(json!("true"), "a string"), (json!(1), "a"), (Value::Null, "null")] {
        let expected = format!("must be true or false, not {shown}");
        expect_problems(&with("/routes/1/upgrade", bad), &[("$.routes[1].upgrade", &expected)]);
    }
}

#[test]
fn the_number_of_routes_has_limits() {
    let routes =
        |count| (0..count).map(|i| json!({ "path": format!("/{i}"), "method": "GET" })).collect::<Vec<_>>();
    expect_problems(&with("/routes", json!([])), &[("$.routes", "must have a route")]);
    assert!(parse(&with("/routes", json!(routes(1024)))).is_ok());
    expect_problems(&with("/routes", json!(routes(1025))), &[("$.routes", "at most 1024")]);
}

#[test]
fn a_swap_is_one_of_two_words() {
    assert_eq!(parse(&full()).unwrap().swap, Swap::StopFirst);
    assert_eq!(parse(&with("/swap", json!("start-first"))).unwrap().swap, Swap::StartFirst);
    let mut bare = full();
    bare.as_object_mut().expect("an object").remove("swap");
    assert_eq!(parse(&bare).unwrap().swap, Swap::StartFirst);
    expect_problems(&with("/swap", json!("stop_first")), &[("$.swap", "did you mean \"stop-first\"?")]);
}
