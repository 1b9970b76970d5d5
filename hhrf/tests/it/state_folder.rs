//! The state folder: libraries are loaded from it, so nobody else may write to it; and hosts may share it.

use std::env::consts::DLL_EXTENSION;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fezz_testkit::Host;
use serde_json::json;

use crate::{ROUTES, fixture, host};

#[track_caller]
fn assert_does_not_start(host: &Host, part: &str) {
    let mut child = host.command().arg("--no-supervisor").spawn().expect("the host can be started");
    let mut text = String::new();
    // Until it ends, or serves.
    for line in BufReader::new(child.stderr.take().expect("a pipe")).lines() {
        text += &line.expect("UTF-8");
        if text.contains("\"listening\"") {
            let _ = child.kill();
        }
    }
    let status = child.wait().expect("it has ended");
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(
        text.contains("the state folder is not safe to use") && text.contains(part),
        "no {part} in {text}"
    );
}

#[test]
fn a_store_that_others_can_write_is_refused() {
    for prepared in ["", "store", "store/0123", "probe", "tmp"] {
        let host = host();
        let folder = host.root().join(".fezz").join(prepared);
        fs::create_dir_all(&folder).expect("made");
        // The state folder itself may be the root of a tmpfs, which is sticky.
        let modes = if prepared.is_empty() { &[0o777, 0o702][..] } else { &[0o777, 0o702, 0o1777] };
        for mode in modes.iter().copied() {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).expect("set");
            assert_does_not_start(&host, "can be written by other users");
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("set");
        host.start().get("/rpc/fix/ping").assert_status(200);
    }
}

#[test]
fn a_store_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for prepared in ["", "store"] {
        let host = host();
        let folder = host.root().join(".fezz").join(prepared);
        fs::create_dir_all(&folder).expect("made");
        std::os::unix::fs::chown(&folder, Some(12_345), None).expect("changed");
        assert_does_not_start(&host, "belongs to the user 12345");
    }
}

/// The host's copy of its one library. The store keeps other files beside it.
fn stored_library(host: &Host) -> PathBuf {
    let entries = fs::read_dir(host.root().join(".fezz/store")).expect("a store").flatten();
    let files = entries.flat_map(|entry| fs::read_dir(entry.path())).flatten().flatten();
    let mut files = files.map(|file| file.path());
    files.find(|file| file.extension().is_some_and(|suffix| suffix == DLL_EXTENSION)).expect("a library")
}

#[test]
fn a_library_of_another_user_is_replaced() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = host().start().stop();
    let library = stored_library(&host);
    std::os::unix::fs::chown(&library, Some(12_345), None).expect("changed");
    let host = host.start();
    host.get("/rpc/fix/ping").assert_status(200);
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&library).expect("there"));
    assert_eq!(owner, 0);
}

/// A host in a PID namespace of its own, as in a container: its processes have the same ids as those of another.
fn contained(host: Host, state: &str) -> Host {
    let user = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
    host.arg("--state-dir")
        .arg(state)
        .after(&format!(r#"exec unshare {user} --pid --fork --kill-child --mount-proc "$0" "$@""#))
}

#[test]
fn two_containers_share_a_state_folder() {
    let state = tempfile::tempdir().expect("made");
    let path = state.path().to_str().expect("UTF-8");
    let names: Vec<_> = (0..8).map(|number| format!("f{number}@1.0.0")).collect();
    let host = || {
        let host = contained(Host::new(), path);
        names.iter().fold(host, |host, name| {
            let isolation = if name < &"f4".to_owned() { "none" } else { "process" };
            host.function_with(name, &fixture(), ROUTES, json!({ "isolation": isolation }))
        })
    };
    for _ in 0..3 {
        std::thread::scope(|scope| {
            let hosts: Vec<_> = (0..2).map(|_| scope.spawn(|| host().start())).collect();
            let hosts: Vec<_> = hosts.into_iter().map(|host| host.join().expect("it starts")).collect();
            for name in &names {
                for host in &hosts {
                    host.get(&format!("/rpc/{name}/ping")).assert_status(200);
                }
            }
        });
        fs::remove_dir_all(state.path().join("store")).expect("removed");
    }
}
