//! What the operator allows a `fezz.json` to ask for.

use fezz_testkit::{Host, Running};
use serde_json::{Value, json};

use crate::{ROUTES, fixture};

fn host_with(more: Value) -> Host {
    Host::new().function_with("fix@latest", &fixture(), ROUTES, more)
}

#[track_caller]
fn assert_not_deployed(host: &Running, parts: &[&str]) {
    let error = host.status("fix@latest")["last_error"].to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "no {parts:?} in {error}");
    host.get("/rpc/fix@latest/ping").assert_status(404);
}

#[test]
fn what_is_asked_for_beyond_the_operators_word_is_not_deployed() {
    for (setting, value, asked, path) in [
        ("HHRF_REQUIRE_ISOLATION", "true", json!({ "isolation": "none" }), "$.isolation"),
        ("HHRF_ALLOW_SANDBOX", "net", json!({ "isolation": "process", "sandbox": "off" }), "$.sandbox"),
        (
            "HHRF_ALLOW_SANDBOX",
            "strict",
            json!({ "isolation": "process", "sandbox": "net", "ports": [443] }),
            "$.sandbox",
        ),
        (
            "HHRF_ALLOW_MEMORY_MAX_BYTES",
            "100000000",
            json!({ "memory_max_bytes": 100_000_001 }),
            "$.memory_max_bytes",
        ),
        ("HHRF_ALLOW_WORKERS_MAX", "3", json!({ "workers": { "max": 4 } }), "$.workers.max"),
        ("HHRF_ALLOW_WORKERS_MAX", "3", json!({ "workers": { "min": 4, "max": 4 } }), "$.workers.min"),
        ("HHRF_ALLOW_MAX_BODY_BYTES", "1000", json!({ "max_body_bytes": 1001 }), "$.max_body_bytes"),
        ("HHRF_ALLOW_TIMEOUT_MS", "1000", json!({ "timeout_ms": 1001 }), "$.timeout_ms"),
        ("HHRF_ALLOW_SECRETS", "fix:OTHER, todos:*", json!({ "secrets": ["GREETING"] }), "$.secrets[0]"),
        ("HHRF_ALLOW_SECRETS", "", json!({ "secrets": ["GREETING"] }), "$.secrets[0]"),
    ] {
        let name = setting.strip_prefix("HHRF_").expect("a variable").to_lowercase();
        let host = host_with(asked).env(setting, value).env("GREETING", "hello").start();
        assert_not_deployed(&host, &[path, &name]);
    }
}

#[test]
fn what_is_within_it_is_deployed_and_what_is_silent_has_its_limits() {
    let asked = json!({
        "isolation": "process", "sandbox": "strict", "workers": { "max": 2 }, "memory_max_bytes": 100_000_000,
        "max_body_bytes": 1000, "timeout_ms": 20_000, "secrets": ["GREETING"],
    });
    let limits = |host: Host| {
        host.env("HHRF_REQUIRE_ISOLATION", "true")
            .env("HHRF_ALLOW_SANDBOX", "strict")
            .env("HHRF_ALLOW_MEMORY_MAX_BYTES", "100000000")
            .env("HHRF_ALLOW_WORKERS_MAX", "2")
            .env("HHRF_ALLOW_MAX_BODY_BYTES", "1000")
            .env("HHRF_ALLOW_TIMEOUT_MS", "20000")
            .env("HHRF_ALLOW_SECRETS", "f*:GREET*")
            .env("GREETING", "hello")
    };
    let host = limits(host_with(asked)).start();
    host.get("/rpc/fix@latest/variable").assert_status(200).assert_text("hello");
    let host = limits(host_with(json!({}))).env("HHRF_SANDBOX", "off").start();
    host.get("/rpc/fix@latest/ping").assert_status(200);
    assert_eq!(host.status("fix@latest")["isolation"]["sandbox"], "strict");
    host.request("POST", "/rpc/fix@latest/echo", &[], &[7; 1001]).assert_status(413);
}

#[test]
fn a_wrong_rule_for_secrets_is_told() {
    let host = host_with(json!({})).env("HHRF_ALLOW_SECRETS", "GREETING");
    let output = host.command().output().expect("the host runs");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(text.contains("HHRF_ALLOW_SECRETS: `GREETING` is no rule for secrets"), "{text}");
}
