//! What happens to a folder while its function is called all the time: nothing of it costs a request.

use std::fs::{self, OpenOptions};
use std::io::Write;

use fezz_testkit::{Folder, Stage, manifest};
use serde_json::json;

use crate::{ROUTES, fixture};

/// How many ask all the time.
pub(crate) const CLIENTS: usize = 8;

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
