//! What happens to a folder while its function is called all the time: nothing of it costs a request.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Folder, Host, Stage, c_library, manifest};
use rustix::process::Signal;
use serde_json::json;

use crate::{ROUTES, fixture};

const CLIENTS: usize = 8;

#[test]
fn a_library_may_be_exchanged_in_any_way() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    let ways: [fn(&Folder, &[u8]); 3] = [Folder::overwrite, Folder::rename_over, Folder::exchange];
    for (build, way) in (2..).zip(ways.iter().cycle().take(6)) {
        way(&stage.f, &stage.builds.build(build));
        stage.until_serving(build);
        load.raise_floor(build);
        load.wait_for_answers(CLIENTS as u64);
    }
    load.stop().assert_flawless();
    stage.assert_build(7);
}

#[test]
fn new_renamed_and_deleted_folders_are_noticed() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    let (g, h) = (stage.folder("g@1.0.0"), stage.folder("h@2.0.0"));
    stage.host.get("/rpc/g@1.0.0").assert_problem(404);
    g.create(&stage.builds.build(50));
    stage.until_state("g@1.0.0", "serving");
    stage.host.get("/rpc/g@1.0.0").assert_status(200).assert_text("00000050-00000050");

    // Renamed, it is another function, whose manifest has not followed yet.
    fs::rename(g.path(), h.path()).expect("renamed");
    stage.until_error("h@2.0.0", "folder");
    h.write_manifest(&manifest("h@2.0.0", &json!({})));
    stage.until_state("h@2.0.0", "serving");
    stage.until(|stage| stage.host.status("g@1.0.0").is_null(), "g is gone");
    stage.host.get("/rpc/g@1.0.0").assert_problem(404);
    stage.host.get("/rpc/h@2.0.0").assert_status(200);

    h.remove();
    stage.until(|stage| stage.host.status("h@2.0.0").is_null(), "h is gone");
    stage.host.get("/rpc/h@2.0.0").assert_problem(404);
    load.stop().assert_flawless();
}

#[test]
fn a_change_of_the_manifest_alone_is_a_deployment() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    stage.host.get("/rpc/f@1.0.0/more").assert_problem(404);
    let routes =
        json!({ "routes": [{ "path": "/", "method": "ANY" }, { "path": "/more", "method": "GET" }] });
    stage.f.write_manifest(&manifest("f@1.0.0", &routes));
    stage.until(|stage| stage.host.status("f@1.0.0")["routes"][1]["path"] == "/more", "the new route");
    stage.host.get("/rpc/f@1.0.0/more").assert_status(200);
    load.stop().assert_flawless();
}

#[test]
fn a_manifest_that_breaks_leaves_the_last_good_one() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    stage.f.write_manifest(r#"{ "id": "f", "version": "1.0.0", "entry": "lib.so", "routs": [] }"#);
    stage.until_error("f@1.0.0", "routs");
    stage.until_state("f@1.0.0", "serving_previous");
    stage.f.write_manifest("{");
    stage.until_error("f@1.0.0", "JSON");
    stage.assert_build(1);
    stage.f.write_manifest(&manifest("f@1.0.0", &json!({})));
    stage.until_state("f@1.0.0", "serving");
    assert!(stage.host.status("f@1.0.0")["last_error"].is_null());
    load.stop().assert_flawless();
}

#[test]
fn a_half_copied_library_waits_for_its_other_half() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    let new = stage.builds.build(2);
    let (one, other) = new.split_at(new.len() / 2);

    // A copy that is still going on: whatever it pauses for, nobody takes the file for whole.
    let mut copy = OpenOptions::new().write(true).truncate(true).open(stage.f.library()).expect("opened");
    copy.write_all(one).expect("written");
    stage.until_error("f@1.0.0", "still being written");
    copy.write_all(other).expect("written");
    drop(copy);
    stage.until_serving(2);
    load.raise_floor(2);

    // In place and without truncation, so that half a copy is as long as a whole one: half old, half new.
    let new = stage.builds.build(3);
    let (one, other) = new.split_at(new.len() / 2);
    let mut copy = OpenOptions::new().write(true).open(stage.f.library()).expect("opened");
    copy.write_all(one).expect("written");
    stage.until_error("f@1.0.0", "still being written");
    stage.assert_build(2);
    copy.write_all(other).expect("written");
    drop(copy);
    stage.until_serving(3);
    load.raise_floor(3);

    // A copy that was broken off.
    stage.f.overwrite(one);
    stage.until_error("f@1.0.0", "cut short");
    stage.assert_build(3);
    stage.f.overwrite(&stage.builds.build(4));
    stage.until_serving(4);
    load.stop().assert_flawless();
}

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
fn with_constructor(host: &Host, name: &str, code: &str) -> Vec<u8> {
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
    let probes = children(stage.host.pid());
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

#[test]
fn a_second_folder_for_the_same_id_and_version_is_refused() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    let copy = stage.folder("copy-of-f@1.0.0");
    copy.create(&stage.builds.build(9));
    copy.write_manifest(&manifest("f@1.0.0", &json!({})));
    stage.until_error("copy-of-f@1.0.0", "folder");
    // One that differs from the first in nothing but what a version may not differ in.
    let other = stage.folder("f@01.0.0");
    other.create(&stage.builds.build(9));
    other.write_manifest(&manifest("f@1.0.0", &json!({})));
    stage.until_error("f@01.0.0", "folder");
    stage.assert_build(1);
    load.stop().assert_flawless();
}

#[test]
fn a_folder_that_is_not_named_id_at_version_is_refused() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    for name in ["todos", "todos@", "@1.0.0", "todos@1", "todos@1.0.0 copy"] {
        let folder = stage.folder(name);
        fs::create_dir(folder.path()).expect("made");
        fs::write(folder.library(), stage.builds.build(1)).expect("written");
        folder.write_manifest(&manifest("todos@1.0.0", &json!({})));
        let line = stage.host.wait_for_log(|line| line.field("function") == name);
        assert!(line.message().starts_with("not served: "), "{line:?}");
    }
    stage.assert_build(1);
    load.stop().assert_flawless();
}

#[test]
fn a_folder_that_is_deleted_in_mid_call_answers_the_call() {
    let stage = Stage::start_with(|host| host.function("slow@1.0.0", &fixture(), ROUTES));
    let load = stage.load(CLIENTS);
    let mut client = stage.host.connect();
    client
        .write_all(b"GET /rpc/slow@1.0.0/sleep/2500 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("sent");
    stage.until(|stage| stage.host.status("slow@1.0.0")["in_flight"] == 1, "the call");
    stage.folder("slow@1.0.0").remove();
    stage.until(|stage| stage.host.status("slow@1.0.0").is_null(), "it is gone");
    stage.host.get("/rpc/slow@1.0.0/ping").assert_problem(404);
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut client, &mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slept"), "{answer}");
    load.stop().assert_flawless();
}

#[test]
fn a_thousand_folders_at_once() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    let small = c_library(stage.host.host().root(), "small", SMALL);
    let small = fs::read(small).expect("read");
    for number in 0..1000 {
        stage.folder(&format!("many-{number}@1.0.0")).create(&small);
    }
    let serving = |stage: &Stage| {
        let list = stage.host.admin("/functions").json();
        let functions = list["functions"].as_array().expect("a list");
        functions.iter().filter(|function| function["state"] == "serving").count()
    };
    stage.until(|stage| serving(stage) == 1001, "all of them");
    for number in (0..1000).step_by(37) {
        stage.host.get(&format!("/rpc/many-{number}@1.0.0")).assert_status(200).assert_text("small");
    }
    load.stop().assert_flawless();
}

const SMALL: &str = r#"
#include "fezz.h"
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    response->status = 200;
    response->body = FEZZ_STR("small");
}
"#;

#[test]
fn an_overflow_of_the_watchers_queue_loses_nothing() {
    // Rescans would find everything, too: not before this test is over.
    let stage = Stage::start_with(|host| host.env("HHRF_RESCAN_MS", "3600000"));
    let load = stage.load(CLIENTS);
    stage.host.signal(Signal::STOP);
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("read");
    let queue: usize = queue.trim().parse().expect("a number");
    let noise = stage.host.host().functions().join("noise");
    // Two events at least for each: they differ, so that the kernel does not take them for one.
    for _ in 0..=queue / 2 {
        fs::write(&noise, "noise").expect("written");
        fs::remove_file(&noise).expect("removed");
    }
    stage.f.overwrite(&stage.builds.build(2));
    stage.host.signal(Signal::CONT);
    stage.until_serving(2);
    load.raise_floor(2);
    stage.host.wait_for_log(|line| line.message().contains("queue ran over"));
    load.stop().assert_flawless();
}

/// The files that a process has open, as its descriptors' links name them.
fn open_files(pid: u32) -> Vec<String> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("listed");
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

#[test]
fn without_a_watcher_rescans_find_changes() {
    let watches = |stage: &Stage| open_files(stage.host.pid()).iter().any(|file| file.contains("inotify"));
    assert!(watches(&Stage::start()));
    let stage = Stage::start_with(|host| host.arg("--no-watch").env("HHRF_RESCAN_MS", "100"));
    assert!(!watches(&stage));
    let load = stage.load(CLIENTS);
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    load.raise_floor(2);
    load.stop().assert_flawless();
}

#[test]
fn a_disk_that_is_full_while_copying_leaves_the_last_good_version() {
    // Room for two libraries, until something else takes the room of the second.
    let stage = Stage::start_with(|host| host.state_on_a_disk_of("800k").env("HHRF_RESCAN_MS", "200"));
    let disk = stage.host.host().disk();
    let filling = format!("/proc/{}/root{}/filling", stage.host.pid(), disk.display());
    fs::write(&filling, vec![1; 400_000]).expect("written");
    let load = stage.load(CLIENTS);
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_error("f@1.0.0", "cannot be copied to the store: No space left on device");
    stage.assert_build(1);
    // It says nothing about the library: when there is room again, the next rescan deploys it.
    fs::remove_file(filling).expect("removed");
    stage.until_serving(2);
    load.stop().assert_flawless();
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
