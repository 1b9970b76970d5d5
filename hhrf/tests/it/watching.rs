//! How changes in the functions folder are noticed: however many there are, and where nobody watches.

use std::fs;

use fezz_testkit::{Stage, c_library};
use rustix::process::Signal;

use crate::swaps::CLIENTS;

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
    let stage = Stage::start_with(|host| host.env("HHRF_RESCAN_MS", "3600000").arg("--no-supervisor"));
    let load = stage.load(CLIENTS);
    // A supervisor would let it go on.
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
    let watches =
        |stage: &Stage| open_files(stage.host.serving_pid()).iter().any(|file| file.contains("inotify"));
    assert!(watches(&Stage::start()));
    let stage = Stage::start_with(|host| host.arg("--no-watch").env("HHRF_RESCAN_MS", "100"));
    assert!(!watches(&stage));
    let load = stage.load(CLIENTS);
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    load.raise_floor(2);
    load.stop().assert_flawless();
}
