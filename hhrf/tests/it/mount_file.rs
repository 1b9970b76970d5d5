//! `mounts.json` over time: it is watched, checked as a whole, and its last good state stays.

use std::fs;
use std::os::unix::fs::symlink;

use fezz_testkit::{Folder, Host, Load, Numbered, Running};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::supervision::process;

/// `a@1.0.0` and `b@1.0.0`, builds 1 and 2.
fn host(mounts: Option<&Value>) -> (Host, Numbered) {
    let host = Host::new();
    let builds = Numbered::new(host.root());
    for (build, name) in [(1, "a@1.0.0"), (2, "b@1.0.0")] {
        Folder::new(&host.functions(), name).create(&builds.build(build));
    }
    if let Some(mounts) = mounts {
        fs::write(host.functions().join("mounts.json"), mounts.to_string()).expect("written");
    }
    (host, builds)
}

fn write(host: &Running, text: &str) {
    fs::write(host.host().functions().join("mounts.json"), text).expect("written");
}

/// The build that answers on this host name.
fn build(host: &Running, name: &str) -> Option<u64> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let request = agent.get(format!("http://{}/", host.address())).header("host", name);
    let mut answer = request.call().expect("answered");
    let body = answer.body_mut().read_to_vec().expect("a body");
    (answer.status().as_u16() == 200).then(|| Numbered::number(&body)).flatten()
}

#[track_caller]
fn until_error(host: &Running, part: &str) {
    host.until(
        |host| host.admin("/functions").json()["mounts_error"].to_string(),
        |error| error.contains(part),
    );
}

#[test]
fn edits_come_into_force_and_a_removal_too() {
    let (host, _) = host(None);
    let host = host.start();
    assert_eq!(build(&host, "a.test"), None);
    write(&host, r#"{"a.test": "a"}"#);
    host.until(|host| build(host, "a.test"), |build| *build == Some(1));
    write(&host, r#"{"a.test": "b@1", "b.test": "b"}"#);
    host.until(|host| build(host, "a.test"), |build| *build == Some(2));
    let list = host.admin("/functions").json();
    assert_eq!(
        list["mounts"],
        json!([
            { "place": "a.test", "function": "b@1", "leads_to": ["b@1.0.0"] },
            { "place": "b.test", "function": "b", "leads_to": ["b@1.0.0"] }
        ])
    );
    assert!(list["mounts_error"].is_null(), "{list:#}");
    fs::remove_file(host.host().functions().join("mounts.json")).expect("removed");
    host.until(|host| build(host, "a.test"), Option::is_none);
}

#[test]
fn a_file_that_is_wrong_or_ahead_of_its_time_keeps_the_previous_mounts() {
    let (host, builds) = host(Some(&json!({ "a.test": "a" })));
    let host = host.start();
    let only_old = || assert_eq!((build(&host, "a.test"), build(&host, "b.test")), (Some(1), None));
    only_old();
    for (text, part) in [
        (r#"{"b.test": "b",}"#, "JSON"),
        (r#"{"b.test": "b", "B.test.": "a", "/rpc/x": "a"}"#, "is the same place as"),
        (r#"{"b.test": "b", "c.test": "c@live"}"#, "there is no function or alias `c@live`"),
        (r#"{"b.test": "b", "c.test": "bb"}"#, "did you mean `b`?"),
        (r#"{"b.test": "b", "c.test": "c"}"#, "there is no function or alias `c`"),
    ] {
        write(&host, text);
        until_error(&host, part);
        only_old();
    }
    let line = host.wait_for_log(|line| line.message().contains("alias `c@live`"));
    assert_eq!(line.field("file"), "mounts.json");
    // The function that it names comes after it: then it is in force.
    Folder::new(&host.host().functions(), "c@3.0.0").create(&builds.build(3));
    host.until(|host| build(host, "c.test"), |build| *build == Some(3));
    assert_eq!((build(&host, "a.test"), build(&host, "b.test")), (None, Some(2)));
    // An alias that comes in one moment with the mount that names it.
    fs::write(host.host().functions().join("aliases.json"), r#"{"a": {"live": {"1.0.0": 1}}}"#)
        .expect("written");
    write(&host, r#"{"c.test": "a@live"}"#);
    host.until(|host| build(host, "c.test"), |build| *build == Some(1));
}

#[test]
fn what_a_mount_leads_to_may_be_undeployed() {
    let (host, _) = host(Some(&json!({ "a.test": "a", "b.test": "b" })));
    let host = host.start();
    Folder::new(&host.host().functions(), "a@1.0.0").remove();
    host.until(|host| build(host, "a.test"), Option::is_none);
    let list = host.admin("/functions").json();
    assert_eq!(list["mounts"][0], json!({ "place": "a.test", "function": "a", "leads_to": [] }));
    assert_eq!(build(&host, "b.test"), Some(2));
}

#[test]
fn the_last_good_mounts_outlive_crashes_hand_overs_and_restarts() {
    let (host, _) = host(Some(&json!({ "a.test": "a" })));
    let host = host.start();
    write(&host, r#"{"a.test": "b"}"#);
    host.until(|host| build(host, "a.test"), |build| *build == Some(2));
    write(&host, "{");
    until_error(&host, "JSON");
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    assert_eq!(build(&host, "a.test"), Some(2));
    let before = host.serving_pid();
    kill_process(process(before), Signal::KILL).expect("killed");
    host.until(Running::serving_pid, |pid| *pid != before && *pid != host.pid());
    assert_eq!(build(&host, "a.test"), Some(2));
    let host = host.stop().start();
    assert_eq!(build(&host, "a.test"), Some(2));
    until_error(&host, "JSON");
    write(&host, r#"{"a.test": "a"}"#);
    host.until(|host| build(host, "a.test"), |build| *build == Some(1));
}

/// As Kubernetes mounts a volume: the file is a link into a folder that a link leads to.
#[test]
fn a_file_behind_a_link_that_is_exchanged() {
    let (host, _) = host(None);
    let functions = host.functions();
    for (volume, function) in [("..one", "a"), ("..two", "b")] {
        fs::create_dir(functions.join(volume)).expect("made");
        let text = json!({ "a.test": function }).to_string();
        fs::write(functions.join(volume).join("mounts.json"), text).expect("written");
    }
    symlink("..one", functions.join("..data")).expect("linked");
    symlink("..data/mounts.json", functions.join("mounts.json")).expect("linked");
    let host = host.env("HHRF_RESCAN_MS", "3600000").start();
    assert_eq!(build(&host, "a.test"), Some(1));
    symlink("..two", functions.join("..data_tmp")).expect("linked");
    fs::rename(functions.join("..data_tmp"), functions.join("..data")).expect("renamed");
    host.until(|host| build(host, "a.test"), |build| *build == Some(2));
}

#[test]
fn a_file_behind_a_link_that_is_edited() {
    let (host, _) = host(None);
    let elsewhere = host.functions().join(".elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    fs::write(elsewhere.join("mounts.json"), r#"{"a.test": "a"}"#).expect("written");
    symlink(".elsewhere/mounts.json", host.functions().join("mounts.json")).expect("linked");
    let host = host.env("HHRF_RESCAN_MS", "3600000").start();
    assert_eq!(build(&host, "a.test"), Some(1));
    fs::write(elsewhere.join("mounts.json"), r#"{"a.test": "b"}"#).expect("written");
    host.until(|host| build(host, "a.test"), |build| *build == Some(2));
}

#[test]
fn mounts_that_change_under_load_fail_no_request() {
    let (host, _) = host(Some(&json!({ "/app": "a" })));
    let host = host.start();
    let load = Load::start(host.address(), "/app", 4, |_, body| {
        let found = Numbered::number(body);
        if matches!(found, Some(1 | 2)) { Ok(()) } else { Err(format!("{found:?}")) }
    });
    let path = host.host().functions().join("mounts.json");
    for round in 0..10 {
        load.wait_for_answers(20);
        let function = if round % 2 == 0 { "b" } else { "a" };
        let new = path.with_file_name(".mounts.new");
        fs::write(&new, json!({ "/app": function, "x.test": "a" }).to_string()).expect("written");
        fs::rename(&new, &path).expect("renamed");
        host.until(
            |host| host.admin("/functions").json()["mounts"][1]["function"].clone(),
            |found| found == function,
        );
    }
    load.stop().assert_flawless();
}
