//! Each function's own environment: its variables for all code in its library, and nobody else's.

use std::fs;
use std::thread;

use fezz_testkit::{Host, Running, c_library, library, release_library};
use serde_json::{Value, json};

pub(crate) const ANY: &[(&str, &str)] = &[("ANY", "/"), ("ANY", "/{*path}")];

const WAYS: [&str; 2] = ["none", "process"];

/// A host with variables of its own, which no function is to see.
fn host(isolation: &str) -> Host {
    Host::new()
        .env("HHRF_ISOLATION", isolation)
        .env("HHRF_SANDBOX", "off")
        .env("HHRF_WORKERS_MAX", "1")
        .env("HHRF_WORKER_CONCURRENCY", "16")
        .env("GREETING", "the host's")
        .env("HOSTS", "own")
        .env("TZ", "Asia/Tokyo")
        .env("TMPDIR", "/nowhere")
}

fn application() -> std::path::PathBuf {
    library("fezz-fixture-application")
}

fn with(host: Host, name: &str, env: &Value) -> Host {
    host.function_with(name, &application(), ANY, json!({ "env": env }))
}

fn text(host: &Running, path: &str) -> String {
    host.get(&format!("/rpc/{path}")).assert_status(200).text().to_owned()
}

#[test]
fn a_function_sees_its_own_variables_and_nobody_elses() {
    for way in WAYS {
        let host = with(host(way), "a@1.0.0", &json!({ "GREETING": "hello", "ONLY_A": "1" }));
        let host = with(host, "b@1.0.0", &json!({ "GREETING": "hello", "ONLY_B": "1" })).start();
        for (name, own, other) in [("a@1.0.0", "ONLY_A", "ONLY_B"), ("b@1.0.0", "ONLY_B", "ONLY_A")] {
            let names = text(&host, &format!("{name}/names"));
            let names: Vec<_> = names.split(' ').filter(|name| *name != "TMPDIR").collect();
            assert_eq!(names, ["GREETING", own, "PATH"], "{way} {name}");
            // By std, by C code of the library, by two crates, and in what it starts.
            for (path, value) in [
                ("variable/GREETING", "hello"),
                ("native/GREETING", "hello"),
                (&format!("native-has/{own}"), "true"),
                (&format!("native-has/{other}"), "false"),
                ("native/HOSTS", "unset"),
                ("native-has/HOSTS", "false"),
                ("variable/HHRF_LISTEN", "unset"),
                ("typed", "hello hello"),
                ("child", "hello|hello b|0|true"),
            ] {
                assert_eq!(text(&host, &format!("{name}/{path}")), value, "{way} {name} {path}");
            }
        }
    }
}

#[test]
fn what_a_function_sets_is_its_own_and_outlives_an_eviction() {
    let host = with(host("none"), "a@1.0.0", &json!({ "GREETING": "hello" }));
    let host = with(host, "b@1.0.0", &json!({ "GREETING": "hello" }))
        .env("HHRF_LOG", "hhrf=debug")
        .env("HHRF_CACHE_IDLE_MS", "200")
        .env("HHRF_CACHE_SWEEP_MS", "20")
        .start();
    text(&host, "a@1.0.0/set/SET/here");
    host.wait_for_log(|line| line.message() == "shut down");
    assert_eq!(text(&host, "a@1.0.0/variable/SET"), "here");
    assert_eq!(text(&host, "a@1.0.0/native/SET"), "here");
    assert_eq!(text(&host, "b@1.0.0/variable/SET"), "unset");
}

/// A `.env` file that the application reads itself, besides the one that the host reads.
#[test]
fn dotenvy_sets_what_is_not_set() {
    for way in WAYS {
        let host = with(host(way), "a@1.0.0", &json!({ "GREETING": "hello" }));
        let folder = host.root().join(".fezz/data/a");
        fs::create_dir_all(&folder).expect("created");
        fs::write(folder.join("dotenv"), "GREETING=no\nFROM_FILE=yes\n").expect("written");
        let host = host.start();
        assert_eq!(text(&host, "a@1.0.0/variable/FROM_FILE"), "yes", "{way}");
        assert_eq!(text(&host, "a@1.0.0/variable/GREETING"), "hello", "{way}");
    }
}

#[test]
fn time_zones_and_temporary_folders_are_the_functions() {
    for way in WAYS {
        let folder = tempfile::tempdir().expect("made");
        let folder = folder.path().to_string_lossy();
        let host = with(host(way), "a@1.0.0", &json!({ "TZ": "Europe/Berlin", "TMPDIR": folder }));
        let host = with(host, "b@1.0.0", &json!({ "TZ": "America/New_York" })).start();
        // In process, libc has no time zone of a function's: it is not the host's either.
        let by_libc = |minutes: &str| if way == "process" { minutes.to_owned() } else { libc_default() };
        let (berlin, new_york) = (by_libc("120"), by_libc("-240"));
        assert_eq!(text(&host, "a@1.0.0/offsets"), format!("120 {berlin} {berlin}"), "{way}");
        assert_eq!(text(&host, "b@1.0.0/offsets"), format!("-240 {new_york} {new_york}"), "{way}");
        let temporary = text(&host, "a@1.0.0/temporary");
        assert!(temporary.starts_with(&format!("{folder} {folder}/")), "{way} {temporary}");
        assert!(!text(&host, "b@1.0.0/temporary").contains("nowhere"), "{way}");
    }
}

/// Minutes ahead of UTC without a `TZ`, as this machine is set.
fn libc_default() -> String {
    let mut date = std::process::Command::new("date");
    let output = date.env_remove("TZ").args(["-d", "@1720000000", "+%z"]).output().expect("date runs");
    let zone = String::from_utf8(output.stdout).expect("text");
    let (hours, minutes) = zone.trim().split_at(3);
    let hours: i32 = hours.parse().expect("hours");
    (hours * 60 + hours.signum() * minutes.parse::<i32>().expect("minutes")).to_string()
}

/// In one process: with one environment for all, a reader of it crashes.
#[test]
fn one_function_changes_its_environment_while_others_read_theirs() {
    let host = ["a", "b", "c"]
        .into_iter()
        .fold(host("none"), |host, id| with(host, &format!("{id}@1.0.0"), &json!({ "GREETING": id })));
    let host = host.start();
    thread::scope(|scope| {
        for (id, path) in [("a", "churn/20000"), ("a", "read/2000"), ("b", "read/2000"), ("c", "churn/20000")]
        {
            let host = &host;
            scope.spawn(move || text(host, &format!("{id}@1.0.0/{path}")));
        }
    });
    for id in ["a", "b", "c"] {
        assert_eq!(text(&host, &format!("{id}@1.0.0/variable/GREETING")), id);
    }
    assert_eq!(host.log().iter().filter(|line| line.message().contains("crashed")).count(), 0);
}

/// Values that are new each time do not pile up.
#[test]
fn changing_variables_takes_no_more_memory() {
    let host = with(host("none"), "a@1.0.0", &json!({})).start();
    text(&host, "a@1.0.0/churn/20000");
    let resident = |host: &Running| {
        let statm = fs::read_to_string(format!("/proc/{}/statm", host.serving_pid())).expect("it runs");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
    };
    let before = resident(&host);
    for _ in 0..5 {
        text(&host, "a@1.0.0/churn/100000");
    }
    let more = resident(&host).saturating_sub(before);
    // Kept for good, these would be more than 20 MiB.
    assert!(more < 8 << 20, "{more} bytes");
}

/// However the library is linked; the release profile links the whole program at once.
#[test]
fn it_is_so_in_every_build() {
    let builds = [library("fezz-fixture-environment"), release_library("fezz-fixture-environment")];
    for build in builds {
        let host = host("none")
            .function_with("e@1.0.0", &build, ANY, json!({ "env": { "GREETING": "hi", "REMOVED": "1" } }))
            .start();
        assert_eq!(text(&host, "e@1.0.0"), "hi hi hi hi1 11unset 0 unset", "{}", build.display());
    }
}

const C: &str = r#"
#include "fezz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern char **environ;
static char text[4096];
static void add(const char *name) { strcat(text, name); strcat(text, " "); }
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    text[0] = 0;
    for (char **entry = environ; entry && *entry; entry++) add(*entry);
    FILE *shell = popen("env", "r");
    char line[256];
    while (shell && fgets(line, sizeof line, shell)) if (strstr(line, "HOSTS")) add("leaked");
    if (shell) pclose(shell);
    FILE *own = fopen("/proc/self/environ", "r");
    size_t read = own ? fread(line, 1, 0, own) : 0;
    (void)read;
    response->status = 200;
    response->body = fezz_slice((const uint8_t *)text, strlen(text));
}
"#;

/// The process itself has next to nothing in its environment: what libc and C libraries read of it is not the host's.
#[test]
fn the_process_has_a_near_empty_environment() {
    for arguments in [&[][..], &["--no-supervisor"]] {
        let host = arguments
            .iter()
            .fold(host("none").env("HOSTS", "secret-of-the-host"), |host, argument| host.arg(argument));
        let c = c_library(host.root(), "environ", C);
        let host = host.function("c@1.0.0", &c, ANY).start();
        let seen = text(&host, "c@1.0.0");
        let names: Vec<_> =
            seen.split_whitespace().map(|entry| entry.split('=').next().unwrap_or(entry)).collect();
        assert_eq!(names, ["PATH"], "{arguments:?}");
        let block = fs::read(format!("/proc/{}/environ", host.serving_pid())).expect("it runs");
        assert!(!String::from_utf8_lossy(&block).contains("secret-of-the-host"), "{arguments:?}");
    }
}
