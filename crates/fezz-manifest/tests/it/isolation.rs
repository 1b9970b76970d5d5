//! The keys of isolation: each one, and the rules between them.

use fezz_manifest::{Isolation, Sandbox, Workers};
use serde_json::{Value, json};

use crate::{expect_problems, full, parse, with};

/// The full manifest without these keys.
fn without(keys: &[&str]) -> Value {
    let mut json = full();
    for key in keys {
        json.as_object_mut().expect("an object").remove(*key);
    }
    json
}

#[test]
fn every_key_is_parsed() {
    let manifest = parse(&full()).unwrap();
    assert_eq!(manifest.isolation, Some(Isolation::Process));
    assert_eq!(manifest.workers, Workers { min: Some(1), max: Some(4), spare: Some(1) });
    assert_eq!((manifest.worker_concurrency, manifest.memory_max_bytes), (Some(2), Some(128 << 20)));
    assert_eq!((manifest.sandbox, manifest.ports.as_slice()), (Some(Sandbox::Net), &[5432][..]));
    let keys = ["isolation", "workers", "worker_concurrency", "memory_max_bytes", "sandbox", "ports"];
    let bare = parse(&without(&keys)).unwrap();
    assert_eq!((bare.isolation, bare.sandbox, bare.workers), (None, None, Workers::default()));
}

#[test]
fn words_are_suggested() {
    expect_problems(
        &with("/isolation", json!("proces")),
        &[("$.isolation", "must be one of none, process, not \"proces\"; did you mean \"process\"?")],
    );
    expect_problems(&with("/isolation", json!(true)), &[("$.isolation", "must be a string")]);
    // Without ports, which would be a second problem.
    let mut wrong = without(&["ports"]);
    wrong["sandbox"] = json!("Strict");
    expect_problems(&wrong, &[("$.sandbox", "did you mean \"strict\"?")]);
}

#[test]
fn workers_have_an_order() {
    expect_problems(
        &with("/workers", json!({ "min": 5, "max": 4, "spar": 1 })),
        &[("$.workers.spar", "did you mean `spare`?"), ("$.workers.min", "more than max, 4")],
    );
    expect_problems(&with("/workers", json!({ "max": 0 })), &[("$.workers.max", "from 1 to 1024")]);
    assert!(parse(&with("/workers", json!({ "min": 4, "max": 4 }))).is_ok());
}

#[test]
fn ports_and_sandbox_agree() {
    expect_problems(&with("/ports", json!([])), &[("$.ports", "needs the ports")]);
    expect_problems(&without(&["sandbox"]), &[("$.ports", "have no effect")]);
    expect_problems(&with("/sandbox", json!("off")), &[("$.ports", "have no effect")]);
    expect_problems(
        &with("/ports", json!([80, 0, 80])),
        &[("$.ports[1]", "from 1 to 65535, not 0"), ("$.ports[2]", "in the list already")],
    );
    let many: Vec<u16> = (1..=65).collect();
    // The refused list counts as empty, which is a second problem with `net`.
    expect_problems(&with("/ports", json!(many)), &[("$.ports", "at most 64"), ("$.ports", "needs")]);
}
