//! What may be dropped into the functions folder, and what is refused.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fezz_testkit::{Host, LogLine, c_library};
use serde_json::json;

use crate::{ROUTES, fixture, host};

const PING: &[(&str, &str)] = &[("GET", "/")];

/// A small library that is good, so that what is made of it is bad for one reason only.
const GOOD: &str = r#"
#include "fezz.h"
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    response->status = 200;
    response->body = FEZZ_STR("good");
}
"#;

fn good(host: &Host) -> PathBuf {
    c_library(host.root(), "good", GOOD)
}

fn write_manifest(folder: &Path, text: &str) {
    fs::write(folder.join("fezz.json"), text).expect("fezz.json can be written");
}

/// The lines that say why `function` is not served.
fn refusals<'a>(log: &'a [LogLine], function: &str) -> Vec<&'a LogLine> {
    log.iter()
        .filter(|line| line.field("function") == function && line.message().starts_with("not served: "))
        .collect()
}

/// Deploys `library` under a name, beside a good function, and answers with the one reason for its refusal.
#[track_caller]
fn refusal(prepare: impl FnOnce(&Host, PathBuf)) -> String {
    let host = host();
    let library = good(&host);
    prepare(&host, library);
    let host = host.start();
    host.get("/rpc/bad@1.0.0").assert_problem(404);
    host.get("/rpc/fix/ping").assert_status(200);
    let log = host.log();
    let [line] = refusals(&log, "bad@1.0.0")[..] else { panic!("not one refusal: {log:#?}") };
    assert_eq!(line.level(), "ERROR");
    assert!(line.field("file").contains("bad@1.0.0"), "{line:?}");
    line.message().to_owned()
}

/// The reason for the refusal of a library with these bytes.
#[track_caller]
fn refusal_of(make: impl FnOnce(&Host, Vec<u8>) -> Vec<u8>) -> String {
    refusal(|host, library| {
        let bytes = make(host, fs::read(&library).expect("read"));
        let bad = host.root().join("libbad.so");
        fs::write(&bad, bytes).expect("written");
        deploy_bad(host, &bad);
    })
}

fn deploy_bad(host: &Host, library: &Path) {
    let folder = host.folder("bad@1.0.0");
    fs::copy(library, folder.join("lib.so")).expect("copied");
    write_manifest(&folder, &manifest("lib.so"));
}

fn manifest(entry: &str) -> String {
    json!({ "id": "bad", "version": "1.0.0", "entry": entry, "routes": [{ "path": "/", "method": "GET" }] })
        .to_string()
}

#[track_caller]
fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "no `{part}` in `{text}`");
}

#[test]
fn every_problem_of_a_manifest_is_a_log_line_with_its_place() {
    let host = host();
    let folder = host.folder("many@1.0.0");
    write_manifest(
        &folder,
        r#"{"id":"other","version":"1.0.0","entry":"x.so","timeout":5,"max_concurrency":"many",
            "routes":[{"path":"/a","method":"GET"},{"path":"/a","method":"GET"},{"path":"b","metod":"GET"}]}"#,
    );
    let host = host.start();
    let log = host.log();
    let lines = refusals(&log, "many@1.0.0");
    let place = |path: &str| lines.iter().find(|line| line.field("path") == path);
    for (path, text) in [
        ("$.timeout", "timeout_ms"),
        ("$.max_concurrency", "number"),
        ("$.routes[2].path", "/"),
        ("$.routes[2].metod", "method"),
    ] {
        let line = place(path).unwrap_or_else(|| panic!("nothing about {path}: {lines:#?}"));
        assert_contains(line.message(), text);
        assert_contains(line.field("file"), "many@1.0.0/fezz.json");
    }
    host.get("/rpc/many@1.0.0").assert_problem(404);
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_manifest_that_is_no_manifest_is_refused() {
    for (text, expected) in [
        ("", "empty"),
        ("not json", "line 1"),
        ("[]", "object"),
        (r#"{"id":"bad"}"#, "version"),
        (r#"{"id":"bad","version":"1.0.0","entry":"x","routes":"all"}"#, "must be a list"),
    ] {
        let host = host();
        write_manifest(&host.folder("bad@1.0.0"), text);
        let host = host.start();
        host.get("/rpc/bad@1.0.0").assert_problem(404);
        host.get("/rpc/fix/ping").assert_status(200);
        let log = host.log();
        let lines = refusals(&log, "bad@1.0.0");
        assert!(lines.iter().any(|line| line.message().contains(expected)), "{text}: {lines:#?}");
    }
}

#[test]
fn a_folder_without_a_manifest_is_refused() {
    assert_contains(&refusal(|host, _| drop(host.folder("bad@1.0.0"))), "fezz.json cannot be read");
}

#[test]
fn id_and_version_are_the_folders() {
    let host = host();
    let library = good(&host);
    let host = host.function("good@1.0.0", &library, PING);
    fs::rename(host.folder("good@1.0.0"), host.functions().join("renamed@1.0.0")).expect("renamed");
    let host = host.start();
    host.get("/rpc/renamed@1.0.0").assert_problem(404);
    host.get("/rpc/good@1.0.0").assert_problem(404);
    assert!(!refusals(&host.log(), "renamed@1.0.0").is_empty());
}

#[test]
fn duplicate_routes_are_refused() {
    let text = refusal(|host, library| {
        let folder = host.folder("bad@1.0.0");
        fs::copy(library, folder.join("lib.so")).expect("copied");
        let route = json!({ "path": "/a", "method": "GET" });
        let manifest =
            json!({ "id": "bad", "version": "1.0.0", "entry": "lib.so", "routes": [route, route] });
        write_manifest(&folder, &manifest.to_string());
    });
    assert_contains(&text, "routes[0]");
}

#[test]
fn an_entry_does_not_lead_out_of_its_folder() {
    let outside = |host: &Host, library: &Path| {
        let folder = host.folder("bad@1.0.0");
        fs::copy(library, host.functions().join("outside.so")).expect("copied");
        folder
    };
    for entry in ["../outside.so", "/etc/passwd", "..", "a/b.so"] {
        refusal(|host, library| write_manifest(&outside(host, &library), &manifest(entry)));
    }
    let text = refusal(|host, library| {
        let folder = outside(host, &library);
        symlink("../outside.so", folder.join("lib.so")).expect("linked");
        write_manifest(&folder, &manifest("lib.so"));
    });
    assert_contains(&text, "leads out of the folder");
    let text = refusal(|host, library| {
        let folder = outside(host, &library);
        symlink(host.functions().join("outside.so"), folder.join("lib.so")).expect("linked");
        write_manifest(&folder, &manifest("lib.so"));
    });
    assert_contains(&text, "leads out of the folder");
}

#[test]
fn an_entry_that_is_no_file_is_refused() {
    assert_contains(
        &refusal(|host, _| write_manifest(&host.folder("bad@1.0.0"), &manifest("lib.so"))),
        "`lib.so` cannot be read",
    );
    let text = refusal(|host, _| {
        let folder = host.folder("bad@1.0.0");
        fs::create_dir(folder.join("lib.so")).expect("made");
        write_manifest(&folder, &manifest("lib.so"));
    });
    assert_contains(&text, "not a regular file");
    let text = refusal(|host, _| {
        let folder = host.folder("bad@1.0.0");
        let status = std::process::Command::new("mkfifo").arg(folder.join("lib.so")).status();
        assert!(status.expect("mkfifo runs").success());
        write_manifest(&folder, &manifest("lib.so"));
    });
    assert_contains(&text, "not a regular file");
}

#[test]
fn a_link_within_the_folder_is_followed() {
    let host = host();
    let library = good(&host);
    let host = host.function("linked@1.0.0", &library, PING);
    let folder = host.folder("linked@1.0.0");
    let name = library.file_name().expect("a name");
    fs::rename(folder.join(name), folder.join("real.so")).expect("renamed");
    symlink("real.so", folder.join(name)).expect("linked");
    host.start().get("/rpc/linked@1.0.0").assert_status(200).assert_text("good");
}

#[test]
fn a_bare_entry_is_the_platforms_library() {
    let host = host();
    let library = good(&host);
    let folder = host.folder("bare@1.0.0");
    fs::copy(&library, folder.join(library.file_name().expect("a name"))).expect("copied");
    write_manifest(&folder, &manifest("good").replace("bad", "bare"));
    host.start().get("/rpc/bare@1.0.0").assert_status(200).assert_text("good");
}

#[test]
fn files_that_are_no_libraries_are_refused() {
    assert_contains(&refusal_of(|_, _| Vec::new()), "empty");
    assert_contains(&refusal_of(|_, _| b"#!/bin/sh\necho hello\n".to_vec()), "not an object file");
    assert_contains(
        &refusal_of(|_, _| fs::read(std::env::current_exe().expect("this test")).expect("read")),
        "fezz",
    );
}

#[test]
fn a_library_for_another_machine_is_refused() {
    // e_machine, at 18: AArch64 and x86-64 for each other, then RISC-V.
    for machine in [if cfg!(target_arch = "x86_64") { 183_u16 } else { 62 }, 243] {
        let text = refusal_of(|_, mut bytes| {
            bytes[18..20].copy_from_slice(&machine.to_le_bytes());
            bytes
        });
        assert_contains(&text, "this host runs on");
    }
    // EI_CLASS, at 4: a 32-bit file.
    refusal_of(|_, mut bytes| {
        bytes[4] = 1;
        bytes
    });
}

/// Compiles `source` and deploys it where the good library is expected.
fn refusal_of_source(source: &str) -> String {
    refusal(|host, _| {
        let library = c_library(host.root(), "bad", source);
        deploy_bad(host, &library);
    })
}

#[test]
fn a_library_without_the_contract_is_refused() {
    let text = refusal_of_source("int nothing_of_ours = 1;");
    assert_contains(&text, "does not export `fezz_abi_version`");
    let text = refusal_of_source(
        "#include \"fezz.h\"\nFEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }",
    );
    assert_contains(&text, "does not export `fezz_fetch`");
    let text = refusal_of_source(&GOOD.replace("return FEZZ_ABI_VERSION", "return 9u << 16"));
    assert_contains(&text, "speaks version 9.0 of the fezz ABI");
}

#[test]
fn a_library_that_cannot_be_linked_is_refused() {
    let source = GOOD.replace(
        "(void)request;",
        "extern int nowhere_to_be_found(void); (void)request; nowhere_to_be_found();",
    );
    assert_contains(&refusal_of_source(&source), "nowhere_to_be_found");
}

#[test]
fn a_library_whose_constructor_misbehaves_is_refused() {
    for (body, expected) in [
        ("__builtin_trap();", "crashed"),
        ("exit(0);", "crashed"),
        ("for (;;) sleep(1);", "did not load within"),
    ] {
        let constructor = format!(
            "#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void misbehave(void) {{ {body} }}\n{GOOD}"
        );
        assert_contains(&refusal_of_source(&constructor), expected);
    }
}

#[test]
fn a_library_that_is_cut_short_anywhere_is_refused() {
    let host = host();
    let library = good(&host);
    let whole = fs::read(&library).expect("read");
    let cuts: Vec<usize> = (0..400).map(|index| index * whole.len() / 400).chain([whole.len() - 1]).collect();
    for (index, cut) in cuts.iter().enumerate() {
        let folder = host.folder(&format!("cut@1.0.{index}"));
        fs::write(folder.join("lib.so"), &whole[..*cut]).expect("written");
        let manifest = manifest("lib.so").replace("bad", "cut").replace("1.0.0", &format!("1.0.{index}"));
        write_manifest(&folder, &manifest);
    }
    let host = host.function("whole@1.0.0", &library, PING).start();
    host.get("/rpc/whole@1.0.0").assert_status(200).assert_text("good");
    let log = host.log();
    for (index, _) in cuts.iter().enumerate() {
        let name = format!("cut@1.0.{index}");
        assert_eq!(refusals(&log, &name).len(), 1, "{name}, cut at {}", cuts[index]);
        host.get(&format!("/rpc/{name}")).assert_problem(404);
    }
}

#[test]
fn a_rust_library_that_is_cut_short_is_refused() {
    let host = host();
    let whole = fs::read(fixture()).expect("read");
    let cuts = [whole.len() / 3, whole.len() - 4096, whole.len() - 1];
    for (index, cut) in cuts.iter().enumerate() {
        let folder = host.folder(&format!("cut@1.0.{index}"));
        fs::write(folder.join("lib.so"), &whole[..*cut]).expect("written");
        write_manifest(
            &folder,
            &manifest("lib.so").replace("bad", "cut").replace("1.0.0", &format!("1.0.{index}")),
        );
    }
    let host = host.start();
    for (index, _) in cuts.iter().enumerate() {
        assert_eq!(refusals(&host.log(), &format!("cut@1.0.{index}")).len(), 1);
    }
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn the_dropped_library_may_be_overwritten_while_it_serves() {
    let host = Host::new().function("fix@latest", &fixture(), ROUTES).start();
    host.get("/rpc/fix/ping").assert_status(200);
    let folder = host.host().functions().join("fix@latest");
    let dropped = folder.join(fixture().file_name().expect("a name"));
    fs::write(&dropped, vec![0; 100_000]).expect("overwritten in place");
    host.get("/rpc/fix/describe").assert_status(200);
    fs::remove_dir_all(&folder).expect("removed");
    host.get("/rpc/fix/describe").assert_status(200);
    host.get("/rpc/fix/panic").assert_problem(500);
}
