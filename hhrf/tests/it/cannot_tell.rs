//! "Cannot tell" is not "gone": what cannot be read for a while, or is being replaced, serves on.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fezz_testkit::{Folder, Host, Numbered, Running, Stage, digest};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::supervision::process;
use crate::swaps::CLIENTS;
use crate::{ROUTES, fixture};

/// Has root be refused what the mode of a file refuses, as everybody is.
pub(crate) fn with_permissions(host: Host) -> Host {
    if rustix::process::geteuid().is_root() {
        let without = "exec setpriv --bounding-set=-dac_override,-dac_read_search";
        host.after(&format!(r#"{without} "$0" "$@""#))
    } else {
        host
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode can be set");
}

#[test]
fn a_folder_that_may_not_be_read_serves_on() {
    let stage = Stage::start_with(|host| with_permissions(host).env("HHRF_RESCAN_MS", "200"));
    let load = stage.load(CLIENTS);
    chmod(&stage.f.path(), 0);
    stage.until_error("f@1.0.0", "Permission denied");
    stage.until_state("f@1.0.0", "serving_previous");
    stage.assert_build(1);
    // Also in a process that begins there.
    let before = stage.host.serving_pid();
    stage.host.signal(Signal::HUP);
    stage.host.wait_for_log(|line| line.message() == "handed over");
    assert_ne!(stage.host.serving_pid(), before);
    stage.until_error("f@1.0.0", "Permission denied");
    stage.assert_build(1);
    chmod(&stage.f.path(), 0o755);
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    load.raise_floor(2);
    load.stop().assert_flawless();
}

#[test]
fn files_that_may_not_be_read_are_tried_again_by_themselves() {
    let rescans_never = |host: Host| with_permissions(host).env("HHRF_RESCAN_MS", "3600000");
    let stage = Stage::start_with(|host| rescans_never(host).arg("--no-watch"));
    chmod(&stage.f.library(), 0);
    stage.host.signal(Signal::HUP);
    stage.until_error("f@1.0.0", "Permission denied");
    stage.assert_build(1);
    stage.f.rename_over(&stage.builds.build(2));
    // Nobody watches, and no rescan is due for an hour.
    stage.until_serving(2);
}

#[test]
fn a_link_that_leads_to_itself_says_nothing() {
    let stage = Stage::start();
    let load = stage.load(CLIENTS);
    stage.f.remove();
    symlink("f@1.0.0", stage.f.path()).expect("linked");
    stage.until_error("f@1.0.0", "symbolic links");
    fs::remove_file(stage.f.path()).expect("removed");
    stage.f.create(&stage.builds.build(2));
    stage.until_serving(2);
    load.stop().assert_flawless();
}

/// One answer on a connection that is kept.
fn ask(client: &mut TcpStream, path: &str) -> String {
    write!(client, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    let mut answer = [0; 4096];
    let read = client.read(&mut answer).expect("answered");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[test]
fn without_descriptors_everything_serves_on() {
    let host = Host::new();
    let builds = Numbered::new(host.root());
    let names: Vec<_> = (0..12).map(|number| format!("f{number}@1.0.0")).collect();
    for name in &names {
        Folder::new(&host.functions(), name).create(&builds.build(1));
    }
    let host = host.after("ulimit -n 200").env("HHRF_RESCAN_MS", "20").start();
    let mut client = host.connect();
    for name in &names {
        assert!(ask(&mut client, &format!("/rpc/{name}")).starts_with("HTTP/1.1 200"));
    }
    let crowd: Vec<_> = (0..250).map(|_| host.connect()).collect();
    host.wait_for_log(|line| line.message().starts_with("cannot accept"));
    // As many rescans as it takes until one has met the limit.
    host.wait_for_log(|line| {
        line.message().contains("Too many open files") && !line.field("function").is_empty()
    });
    for name in &names {
        let answer = ask(&mut client, &format!("/rpc/{name}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    }
    drop(crowd);
    let all_serve = |host: &Running| names.iter().all(|name| host.status(name)["state"] == "serving");
    host.until(all_serve, |all| *all);
    assert!(!host.log().iter().any(|line| line.message().starts_with("undeployed")));
}

/// Replaces the folder in a loop, in the way of `rm -r` and `cp -r`, while it is called all the time.
fn replaced_in_a_loop(prepare: impl FnOnce(Host) -> Host) {
    let stage = Stage::start_with(prepare);
    let load = stage.load(CLIENTS);
    for round in 0..40 {
        stage.f.remove();
        // The moment in which it is gone is long in every fourth round.
        thread::sleep(Duration::from_millis(if round % 4 == 0 { 60 } else { 1 }));
        stage.f.create(&stage.builds.build(1));
        thread::sleep(Duration::from_millis(1));
    }
    load.stop().assert_flawless();
    stage.until_state("f@1.0.0", "serving");
    stage.f.remove();
    stage.until(|stage| stage.host.status("f@1.0.0").is_null(), "it is gone");
}

#[test]
fn a_folder_that_is_replaced_in_a_loop_serves_on_while_rescans_look() {
    replaced_in_a_loop(|host| host.env("HHRF_RESCAN_MS", "10"));
}

#[test]
fn a_folder_that_is_replaced_in_a_loop_serves_on_without_a_watcher() {
    replaced_in_a_loop(|host| host.env("HHRF_RESCAN_MS", "10").arg("--no-watch"));
}

#[test]
fn a_process_that_begins_while_a_folder_is_replaced_serves_it() {
    let stage = Stage::start_with(|host| host.env("HHRF_SETTLE_MS", "1000"));
    let before = stage.host.serving_pid();
    stage.f.remove();
    kill_process(process(before), Signal::KILL).expect("killed");
    stage.until(|stage| stage.host.serving_pid() != before, "the next process");
    let answer = stage.host.get_anew("/rpc/f@1.0.0");
    assert_eq!(Numbered::number(&answer.assert_status(200).body), Some(1), "{answer:?}");
    stage.f.create(&stage.builds.build(2));
    stage.until_serving(2);
}

#[test]
fn aliases_that_are_replaced_stay_in_force() {
    let stage = Stage::start_with(|host| {
        fs::write(host.functions().join("aliases.json"), ALIASES).expect("written");
        host.env("HHRF_RESCAN_MS", "10")
    });
    let file = stage.host.host().functions().join("aliases.json");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                stage.host.get("/rpc/f@live").assert_status(200);
            }
        });
        for _ in 0..20 {
            fs::remove_file(&file).expect("removed");
            thread::sleep(Duration::from_millis(30));
            fs::write(&file, ALIASES).expect("written");
            thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        client.join().expect("every call was answered");
    });
}

const ALIASES: &str = r#"{ "f": { "live": { "1.0.0": 1 } } }"#;

#[test]
fn a_folder_that_cannot_be_watched_costs_no_other() {
    let stage = Stage::start_with(|host| {
        let host = with_permissions(host).env("HHRF_RESCAN_MS", "3600000");
        for name in ["lost+found", "g@1.0.0"] {
            chmod(&host.folder(name), 0);
        }
        host
    });
    stage.f.overwrite(&stage.builds.build(2));
    stage.until_serving(2);
    stage.until(|stage| stage.host.status("g@1.0.0")["unwatched"].is_string(), "it is shown");
    stage.until_error("g@1.0.0", "Permission denied");
    assert!(stage.host.status("f@1.0.0")["unwatched"].is_null());
    let g = stage.folder("g@1.0.0");
    chmod(&g.path(), 0o755);
    g.create(&stage.builds.build(3));
    stage.until_state("g@1.0.0", "serving");
    stage.until(|stage| stage.host.status("g@1.0.0")["unwatched"].is_null(), "it is watched");
    g.overwrite(&stage.builds.build(4));
    let new = digest(&stage.builds.build(4));
    stage.until(|stage| stage.host.status("g@1.0.0")["digest"] == new, "the next build");
}

#[test]
fn what_is_no_functions_folder_is_not_watched() {
    let stage = Stage::start_with(|host| {
        let tree = host.root().join("tree");
        for number in 0..200 {
            fs::create_dir_all(tree.join(format!("{number}/sub"))).expect("made");
        }
        symlink(&tree, host.functions().join("tree")).expect("linked");
        symlink(&tree, host.functions().join("tree@1.0.0")).expect("linked");
        host
    });
    let pid = stage.host.serving_pid();
    let watches = |_: &Stage| -> usize {
        let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("listed").flatten();
        let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
        texts.map(|text| text.lines().filter(|line| line.starts_with("inotify")).count()).sum()
    };
    assert!((2..20).contains(&watches(&stage)), "{}", watches(&stage));
}

/// A host with a function that tells its secret.
fn with_secret(text: &str) -> Host {
    let host = Host::new().env("HHRF_SECRETS_FILE", "secrets/app.env").function_with(
        "s@1.0.0",
        &fixture(),
        ROUTES,
        json!({ "secrets": ["GREETING"] }),
    );
    fs::create_dir(host.root().join("secrets")).expect("made");
    fs::write(host.root().join("secrets/app.env"), text).expect("written");
    host
}

fn secret(host: &Running) -> String {
    host.get_anew("/rpc/s@1.0.0/variable").assert_status(200).text().to_owned()
}

#[test]
fn a_secrets_file_is_not_read_while_it_is_written() {
    let host = with_secret("GREETING=old\n").env("HHRF_RESCAN_MS", "10").start();
    assert_eq!(secret(&host), "old");
    let file = host.host().root().join("secrets/app.env");
    // By one writer that pauses, and by two that come one after the other.
    let mut writer = fs::File::create(&file).expect("opened");
    writer.write_all(b"GREETING=new-").expect("written");
    let until = std::time::Instant::now() + Duration::from_millis(800);
    while std::time::Instant::now() < until {
        assert_eq!(secret(&host), "old");
    }
    writer.write_all(b"one\n").expect("written");
    drop(writer);
    host.until(secret, |value| value == "new-one");
    for round in 0..5 {
        fs::write(&file, "GREETING=new-").expect("written");
        thread::sleep(Duration::from_millis(40));
        let mut appended = fs::OpenOptions::new().append(true).open(&file).expect("opened");
        writeln!(appended, "{round}").expect("written");
        drop(appended);
        let value = host.until(
            |host| {
                let value = secret(host);
                assert_ne!(value, "new-", "half a secret");
                value
            },
            |value| *value == format!("new-{round}"),
        );
        assert!(value.starts_with("new-"));
    }
}

/// Has a link lead elsewhere, in one step.
fn relink(link: &Path, target: &str) {
    let new = link.with_file_name("..new");
    symlink(target, &new).expect("linked");
    fs::rename(&new, link).expect("renamed");
}

#[test]
fn links_are_followed_at_once() {
    let stage = Stage::start_with(|host| {
        let functions = host.functions();
        for (folder, version) in [("..1", "1.0.0"), ("..2", "2.0.0")] {
            let aliases = json!({ "f": { "live": { version: 1 } } }).to_string();
            fs::create_dir(functions.join(folder)).expect("made");
            fs::write(functions.join(folder).join("aliases.json"), aliases).expect("written");
        }
        symlink("..1", functions.join("..data")).expect("linked");
        symlink("..data/aliases.json", functions.join("aliases.json")).expect("linked");
        let builds = Numbered::new(host.root());
        Folder::new(&functions, "f@2.0.0").create(&builds.build(2));
        host.env("HHRF_RESCAN_MS", "3600000")
    });
    let live = |stage: &Stage| Numbered::number(&stage.host.get("/rpc/f@live").assert_status(200).body);
    assert_eq!(live(&stage), Some(1));
    let functions = stage.host.host().functions();
    relink(&functions.join("..data"), "..2");
    stage.until(|stage| live(stage) == Some(2), "the other alias");
    // In the folder that the link leads to now.
    fs::write(functions.join("..2/aliases.json"), ALIASES).expect("written");
    stage.until(|stage| live(stage) == Some(1), "the first alias");
}

#[test]
fn a_functions_folder_and_its_files_may_be_links() {
    let releases = tempfile::tempdir().expect("a folder");
    let [r1, r2] = ["r1", "r2"].map(|name| Folder::new(&releases.path().join(name), "f@1.0.0"));
    let stage = Stage::start_with(|host| host.env("HHRF_RESCAN_MS", "3600000"));
    for (folder, build) in [(&r1, 2), (&r2, 3)] {
        folder.create(&stage.builds.build(build));
    }
    stage.f.remove();
    symlink(r1.path(), stage.f.path()).expect("linked");
    stage.until_serving(2);
    relink(&stage.f.path(), r2.path().to_str().expect("text"));
    stage.until_serving(3);
    r2.overwrite(&stage.builds.build(4));
    stage.until_serving(4);
    // Files, as Kubernetes mounts them.
    fs::create_dir(r2.path().join("..1")).expect("made");
    fs::rename(r2.library(), r2.path().join("..1/lib.so")).expect("renamed");
    symlink("..1", r2.path().join("..data")).expect("linked");
    symlink("..data/lib.so", r2.library()).expect("linked");
    stage.until_state("f@1.0.0", "serving");
    fs::write(r2.path().join("..1/lib.so"), stage.builds.build(5)).expect("written");
    stage.until_serving(5);
    fs::create_dir(r2.path().join("..2")).expect("made");
    fs::write(r2.path().join("..2/lib.so"), stage.builds.build(6)).expect("written");
    relink(&r2.path().join("..data"), "..2");
    stage.until_serving(6);
}

#[test]
fn a_secret_behind_a_link_is_followed_at_once() {
    let host = with_secret("").env("HHRF_RESCAN_MS", "3600000");
    let folder = host.root().join("secrets");
    fs::remove_file(folder.join("app.env")).expect("removed");
    for (name, value) in [("..1", "one"), ("..2", "two")] {
        fs::create_dir(folder.join(name)).expect("made");
        fs::write(folder.join(name).join("app.env"), format!("GREETING={value}\n")).expect("written");
    }
    symlink("..1", folder.join("..data")).expect("linked");
    symlink("..data/app.env", folder.join("app.env")).expect("linked");
    let host = host.start();
    assert_eq!(secret(&host), "one");
    relink(&folder.join("..data"), "..2");
    host.until(secret, |value| value == "two");
    assert_eq!(host.status("s@1.0.0")["last_error"], Value::Null);
}
