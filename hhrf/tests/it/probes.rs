//! Libraries that are refused, or that go wrong while they are probed: the folder's last good version goes on.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, Running, Stage, c_library, manifest};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::swaps::CLIENTS;

#[test]
fn a_library_that_was_refused_is_not_tried_again_until_it_changes() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    stage.f.overwrite(b"this is not a library");
    stage.until_error("f@1.0.0", "not an object file");
    // The same bytes again: another state of the folder, but not another library.
    stage.f.rename_over(b"this is not a library");
    stage.until_error("f@1.0.0", "was refused before, so it was not tried again");
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    assert!(stage.host.status("f@1.0.0")["last_error"].is_null());
    load.stop().assert_flawless();
}

#[test]
fn a_manifest_that_names_a_digest_takes_that_library_only() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    let with_digest =
        |build| manifest("f@1.0.0", &json!({ "sha256": fezz_testkit::digest(&stage.builds.build(build)) }));
    stage.f.write_manifest(&with_digest(2));
    stage.until_error("f@1.0.0", "the library is not the one that fezz.json is about");
    stage.assert_build(1);
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    load.raise_floor(2);
    // The new library before its manifest: it waits.
    stage.f.overwrite(&stage.builds.build(3));
    stage.until_error("f@1.0.0", "the library is not the one that fezz.json is about");
    stage.assert_build(2);
    stage.f.write_manifest(&with_digest(3));
    stage.until_serving(3);
    load.stop().assert_flawless();
}

/// A constructor, and a function that would answer if the constructor let it.
pub(crate) fn with_constructor(host: &Host, name: &str, code: &str) -> Vec<u8> {
    let source = format!(
        r#"
#include "fezz.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void construct(void) {{ {code} }}
FEZZ_EXPORT uint32_t fezz_abi_version(void) {{ return FEZZ_ABI_VERSION; }}
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {{
    (void)request;
    response->status = 200;
}}
"#
    );
    fs::read(c_library(host.root(), name, &source)).expect("read")
}

#[test]
fn a_constructor_that_aborts_hangs_or_prints_for_ever_is_the_probes_problem() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    for (name, code, error) in [
        ("abort", "abort();", "crashed or ended the process"),
        ("exit", "exit(0);", "crashed or ended the process"),
        ("segfault", "*(volatile int *)8 = 1;", "crashed or ended the process"),
        ("hang", "for (;;) pause();", "did not load within 2000 ms"),
        ("print", r#"for (;;) puts("hhrf-probe: ok");"#, "did not load within 2000 ms"),
    ] {
        stage.f.overwrite(&with_constructor(stage.host.host(), name, code));
        stage.until_error("f@1.0.0", error);
        stage.until_state("f@1.0.0", "serving_previous");
        stage.assert_build(1);
    }
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    load.stop().assert_flawless();
}

#[test]
fn a_probe_that_hangs_holds_up_no_other_deployment() {
    let stage = Stage::start_with(|host| host.env("HHRF_PROBE_TIMEOUT_MS", "60000"));
    let hanging = stage.folder("hang@1.0.0");
    hanging.create(&with_constructor(stage.host.host(), "hang", "for (;;) pause();"));
    // Both in one batch, and one in a batch of its own while the probe hangs.
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    stage.f.overwrite(&stage.builds.build(3));
    stage.until_serving(3);
    stage.assert_build(3);
    assert!(stage.host.status("hang@1.0.0").is_null(), "its probe is still running");

    // A host that is killed leaves no probe behind.
    let probes = children(stage.host.serving_pid());
    assert_eq!(probes.len(), 1, "{probes:?}");
    stage.host.signal(Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(20);
    while probes.iter().any(|probe| is_running(*probe)) {
        assert!(Instant::now() < deadline, "{probes:?} still run");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("listed");
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| status(*pid).is_some_and(|(_, ppid)| ppid == parent)).collect()
}

/// State and parent of a process, from proc_pid_stat(5).
fn status(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_running(pid: u32) -> bool {
    status(pid).is_some_and(|(state, _)| state != 'Z')
}

/// Refuses to start where its data directory has no file `ready`.
const NEEDS_A_FILE: &str = r#"
#include "fezz.h"
#include <stdlib.h>
#include <unistd.h>
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT int32_t fezz_init(const FezzHost *host) {
    FezzSlice file = fezz_variable(host, "NEEDS");
    char path[4096] = {0};
    for (size_t i = 0; i < file.len && i < sizeof path - 1; i++) path[i] = (char)file.ptr[i];
    return access(path, F_OK) == 0 ? 0 : 5;
}
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    response->status = 200;
    response->body = FEZZ_STR("it is there");
}
"#;

#[test]
fn an_init_that_lacks_something_is_tried_again_at_the_next_rescan() {
    let stage = Stage::start_with(|host| host.env("HHRF_RESCAN_MS", "100"));
    let needed = stage.host.host().root().join("needed");
    let library = c_library(stage.host.host().root(), "needs", NEEDS_A_FILE);
    let folder = stage.folder("needs@1.0.0");
    folder.create(&fs::read(library).expect("read"));
    folder.write_manifest(&manifest("needs@1.0.0", &json!({ "env": { "NEEDS": needed } })));
    stage.until_error("needs@1.0.0", "fezz_init answered 5");
    fs::write(needed, "").expect("written");
    stage.until_state("needs@1.0.0", "serving");
    stage.host.get("/rpc/needs@1.0.0").assert_status(200).assert_text("it is there");
}

/// The probes of a function that run now.
fn probes_of(host: &Running, name: &str) -> Vec<u32> {
    let role = format!("hhrf: probe {name}\0");
    let is_it = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.starts_with(role.as_bytes())
    };
    children(host.serving_pid()).into_iter().filter(is_it).collect()
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    // It may have ended by itself.
    let _ = kill_process(pid, Signal::KILL);
}

#[test]
fn a_probe_that_is_killed_says_nothing_about_its_library() {
    let stage = Stage::start_with(|host| host.env("HHRF_RESCAN_MS", "3600000"));
    let folder = stage.folder("slow@1.0.0");
    let go = stage.host.host().root().join("go");
    let code = format!("while (access(\"{}\", F_OK) != 0) sleep(1);", go.display());
    folder.create(&with_constructor(stage.host.host(), "slow", &code));
    // Once is as good as not at all; more often than it is tried again at once, and it waits for the next attempt.
    for kills in 1..=4 {
        let probes = stage.host.until(|host| probes_of(host, "slow@1.0.0"), |probes| !probes.is_empty());
        probes.iter().copied().for_each(kill);
        stage.host.until(|host| probes_of(host, "slow@1.0.0"), |now| !now.contains(&probes[0]));
        if kills == 3 {
            stage.until_error("slow@1.0.0", "SIGKILL");
        }
    }
    fs::write(go, "").expect("written");
    stage.until_state("slow@1.0.0", "serving");
}

#[test]
fn a_crash_that_the_bytes_do_not_decide_is_tried_again() {
    let stage = Stage::start_with(|host| host.env("HHRF_RESCAN_MS", "3600000"));
    let needed = stage.host.host().root().join("needed");
    let code = format!("if (access(\"{}\", F_OK) != 0) abort();", needed.display());
    stage.f.overwrite(&with_constructor(stage.host.host(), "needs", &code));
    stage.until_error("f@1.0.0", "crashed or ended the process");
    stage.assert_build(1);
    fs::write(needed, "").expect("written");
    stage.until_state("f@1.0.0", "serving");
    let log = stage.host.log();
    let told = log.iter().filter(|line| line.message().contains("crashed or ended the process"));
    assert_eq!(told.count(), 1, "each state of a folder is told once: {log:#?}");
}

#[test]
fn a_state_folder_that_forbids_programs_is_tried_again() {
    let stage =
        Stage::start_with(|host| host.state_on_a_disk_of("8m,noexec").env("HHRF_RESCAN_MS", "3600000"));
    stage.until_error("f@1.0.0", "failed to map segment");
    let mut remount = Command::new("nsenter");
    remount.args(["--target", &stage.host.pid().to_string(), "--mount"]);
    if !rustix::process::geteuid().is_root() {
        remount.args(["--user", "--preserve-credentials"]);
    }
    remount.args(["mount", "-o", "remount,exec"]).arg(stage.host.host().disk());
    assert!(remount.status().expect("nsenter is there").success());
    stage.until_state("f@1.0.0", "serving");
    stage.assert_build(1);
}
