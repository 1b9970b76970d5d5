//! Variables, secrets and the data directory of a function.

use std::fs;

use fezz_testkit::{Folder, Host, Running, c_library};
use serde_json::json;

use crate::{ROUTES, fixture};

const SECRET: &str = "correct-horse-battery-staple";

fn greeting(host: &Running) -> String {
    host.get("/rpc/fix@latest/variable").assert_status(200).text().to_owned()
}

fn host_with(more: serde_json::Value) -> Host {
    Host::new().function_with("fix@latest", &fixture(), ROUTES, more)
}

#[test]
fn env_files_stand_over_the_manifest_and_secrets_over_both() {
    let host = host_with(json!({ "env": { "GREETING": "from fezz.json" } })).start();
    assert_eq!(greeting(&host), "from fezz.json");
    let folder = host.host().folder("fix@latest");
    fs::write(folder.join(".env"), "GREETING='from .env'\n").expect("written");
    host.until(greeting, |greeting| greeting == "from .env");
    fs::remove_file(folder.join(".env")).expect("removed");
    host.until(greeting, |greeting| greeting == "from fezz.json");

    let host = host_with(json!({ "secrets": ["GREETING"] })).env("GREETING", "from the environment");
    fs::write(host.folder("fix@latest").join(".env"), "GREETING=from-.env").expect("written");
    let host = host.start();
    assert_eq!(greeting(&host), "from the environment");
}

#[test]
fn the_secrets_file_stands_over_the_environment() {
    let host = host_with(json!({ "secrets": ["GREETING"] })).env("GREETING", "from the environment");
    let file = host.root().join("secrets");
    fs::write(&file, "GREETING=from-the-file\nOTHER=unused").expect("written");
    let host = host.env("HHRF_SECRETS_FILE", &file.to_string_lossy()).env("HHRF_RESCAN_MS", "100").start();
    assert_eq!(greeting(&host), "from-the-file");
    // Nobody watches this file, but rescans look at it.
    fs::write(&file, "GREETING=rotated").expect("written");
    host.until(greeting, |greeting| greeting == "rotated");
}

#[test]
fn the_hosts_environment_is_no_functions_unless_it_is_asked_for() {
    let host = host_with(json!({})).env("GREETING", "from the environment").start();
    assert_eq!(greeting(&host), "unset");
}

#[test]
fn a_secret_that_nobody_knows_is_an_error_that_names_it() {
    let host = host_with(json!({ "env": { "GREETING": "before" } })).start();
    assert_eq!(greeting(&host), "before");
    let manifest = host.host().folder("fix@latest").join("fezz.json");
    let text = fs::read_to_string(&manifest).expect("read");
    let more = text.replacen('{', r#"{"secrets": ["NO_SUCH_SECRET"], "#, 1);
    fs::write(&manifest, more).expect("written");
    let error = host.until(
        |host| host.status("fix@latest")["last_error"]["message"].to_string(),
        |error| error.contains("NO_SUCH_SECRET"),
    );
    assert!(error.contains("neither in the host's environment"), "{error}");
    assert_eq!(greeting(&host), "before");
}

#[test]
fn values_of_secrets_show_nowhere() {
    let host = host_with(json!({ "secrets": ["GREETING"] }))
        .env("GREETING", SECRET)
        .env("HHRF_LOG", "trace")
        .env("HHRF_EXPOSE_PANICS", "true");
    let file = host.root().join("secrets");
    // A line that cannot be read, with a secret in it.
    fs::write(&file, format!("GREETING={SECRET}\nthis is {SECRET} and no variable\n")).expect("written");
    let refused = host.env("HHRF_SECRETS_FILE", &file.to_string_lossy()).start();
    let refusal = refused.status("fix@latest")["last_error"]["message"].to_string();
    assert!(refusal.contains("line 2"), "{refusal}");
    fs::write(&file, format!("GREETING={SECRET}\n")).expect("written");
    let host = refused.stop().start();
    assert_eq!(greeting(&host), SECRET, "the function has it");
    let answers = [
        host.admin("/functions"),
        host.admin("/metrics"),
        host.get("/rpc/fix@latest/panic"),
        host.get("/rpc/fix@latest/nothing"),
        host.get("/rpc/fix@latest/bad-header"),
    ];
    assert!(answers.iter().all(|answer| !answer.text().contains(SECRET)), "{answers:?}");
    assert!(!refusal.contains(SECRET));
    let log = host.log();
    let line = log.iter().find(|line| line.0.to_string().contains(SECRET));
    assert!(line.is_none(), "{line:?}");
    assert!(
        log.iter().any(|line| line.level() == "TRACE" || line.level() == "DEBUG"),
        "at that level it logs"
    );
}

/// Adds a letter to a file in its data directory, and answers with all of it.
const NOTES: &str = r#"
#include "fezz.h"
#include <stdio.h>
static char path[4096];
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT int32_t fezz_init(const FezzHost *host) {
    snprintf(path, sizeof path, "%.*s/notes", (int)host->data_dir.len, (const char *)host->data_dir.ptr);
    return 0;
}
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    static char text[64];
    (void)request;
    FILE *file = fopen(path, "a+");
    fputc('x', file);
    rewind(file);
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    response->status = 200;
    response->body = fezz_slice((const uint8_t *)text, length);
}
"#;

#[test]
fn the_data_directory_belongs_to_the_id_and_survives_versions_and_restarts() {
    let host = Host::new();
    let notes = fs::read(c_library(host.root(), "notes", NOTES)).expect("read");
    let folder = |name: &str| Folder::new(&host.functions(), name);
    folder("notes@1.0.0").create(&notes);
    folder("notes@2.0.0").create(&notes);
    folder("others@1.0.0").create(&notes);
    let host = host.start();
    host.get("/rpc/notes@1.0.0").assert_status(200).assert_text("x");
    host.get("/rpc/notes@2.0.0").assert_status(200).assert_text("xx");
    host.get("/rpc/others@1.0.0").assert_status(200).assert_text("x");
    Folder::new(&host.host().functions(), "notes@1.0.0").remove();
    host.until(|host| host.status("notes@1.0.0"), serde_json::Value::is_null);
    host.get("/rpc/notes").assert_status(200).assert_text("xxx");
    let host = host.stop().start();
    host.get("/rpc/notes").assert_status(200).assert_text("xxxx");
}
