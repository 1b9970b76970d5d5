//! Files that belong to an application: deployed with it, swapped with it, kept with it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Folder, Host, Running, library};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::bare;
use crate::cannot_tell::with_permissions;
use crate::supervision::process;

const NAME: &str = "app@1.0.0";
const ROUTES: &[(&str, &str)] = &[("ANY", "/"), ("ANY", "/{*path}")];

/// The application with its files, not started.
fn host(more: Value) -> (Host, PathBuf) {
    let host = bare().function_with(NAME, &library("fezz-fixture-assets"), ROUTES, more);
    let folder = host.functions().join(NAME);
    fs::create_dir_all(folder.join("deep/er")).expect("made");
    set_number(&folder, 0);
    write(&folder, "assets/relative.txt", "by a relative path");
    (host, folder)
}

#[track_caller]
fn write(folder: &Path, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("made");
    fs::write(path, text).expect("written");
}

/// Changes the two files that belong together.
fn set_number(folder: &Path, number: u64) {
    write(folder, "number", number.to_string());
    write(folder, "deep/er/number", number.to_string());
}

fn get(host: &Running, path: &str) -> String {
    String::from_utf8_lossy(&host.get_anew(&format!("/rpc/{NAME}{path}")).body).into_owned()
}

#[track_caller]
fn serves_number(host: &Running, number: u64) {
    host.until(|host| get(host, "/numbers"), |found| *found == format!("{number} {number} {number}"));
}

#[track_caller]
fn refused(host: &Running, reason: &str) {
    let message = |host: &Running| host.status(NAME)["last_error"]["message"].to_string();
    host.until(message, |message| message.contains(reason));
}

fn in_store(host: &Running, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(host.host().root().join(".fezz/store").join(folder)).expect("read");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn all_that_is_in_the_folder_is_deployed_under_its_own_name() {
    let (host, folder) = host(json!({}));
    write(&folder, ".env", "SECRET=1");
    write(&folder, ".git/config", "hidden");
    write(&folder, ".well-known/security.txt", "Contact: us");
    write(&folder, "Größe & Farbe.txt", "UTF-8");
    write(&folder, "A.txt", "large");
    write(&folder, "a.txt", "small");
    write(&folder, Path::new(OsStr::from_bytes(b"latin-\xe9.txt")), "other bytes");
    fs::create_dir(folder.join("empty")).expect("made");
    symlink("deep", folder.join("link")).expect("made");
    symlink("../a.txt", folder.join("deep/link.txt")).expect("made");
    let host = host.start();
    let files = |path: &str| host.get(&format!("/rpc/{NAME}/files/{path}"));
    for (path, text) in [
        (".well-known/security.txt", "Contact: us"),
        ("Gr%C3%B6%C3%9Fe%20%26%20Farbe.txt", "UTF-8"),
        ("A.txt", "large"),
        ("a.txt", "small"),
        ("deep/er/number", "0"),
        ("link/er/number", "0"),
        ("deep/link.txt", "small"),
    ] {
        files(path).assert_status(200).assert_text(text);
    }
    let own = format!("{}fezz_fixture_assets{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    for path in ["fezz.json", ".env", ".git/config", &own] {
        files(path).assert_status(404);
    }
    let tree = PathBuf::from(get(&host, "/folder"));
    assert_eq!(fs::read(tree.join(OsStr::from_bytes(b"latin-\xe9.txt"))).expect("read"), b"other bytes");
    assert!(tree.join("empty").is_dir());
    let assets = &host.status(NAME)["assets"];
    assert_eq!(assets["files"], 11, "{assets}");
    assert!(assets["bytes"].as_u64() > Some(50) && tree.ends_with(assets["digest"].as_str().expect("text")));
}

#[test]
fn a_changed_file_alone_is_a_deployment_that_is_seen_at_once() {
    let (host, folder) = host(json!({}));
    let host = host.start();
    serves_number(&host, 0);
    let deployed = &host.status(NAME)["digest"];
    for number in 1..4 {
        let begin = Instant::now();
        set_number(&folder, number);
        serves_number(&host, number);
        // A generous bound: as a rule it takes some 200 ms.
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
    assert_eq!(host.status(NAME)["digest"], *deployed, "the library is the same");
    // What was again, is again; and clients that have seen another file since do not take it for that.
    let modified =
        || host.get(&format!("/rpc/{NAME}/files/number")).header("last-modified").map(str::to_owned);
    let before = modified().expect("it has a time");
    thread::sleep(Duration::from_millis(1_100));
    set_number(&folder, 0);
    serves_number(&host, 0);
    assert_ne!(modified(), Some(before));
}

#[test]
fn no_request_fails_and_none_sees_two_builds_while_files_change() {
    let (host, folder) = host(json!({}));
    let host = host.start();
    let done = AtomicBool::new(false);
    let call = || {
        let mut calls = 0;
        while !done.load(Ordering::SeqCst) {
            let answer = host.get_anew(&format!("/rpc/{NAME}/numbers"));
            let text = String::from_utf8_lossy(&answer.assert_status(200).body).into_owned();
            let numbers: Vec<_> = text.split(' ').collect();
            let alike = numbers.len() == 3 && numbers.iter().all(|number| *number == numbers[0]);
            assert!(alike && numbers[0].parse::<u64>().is_ok(), "{text}");
            calls += 1;
        }
        calls
    };
    thread::scope(|scope| {
        let clients = [(); 4].map(|()| scope.spawn(call));
        for number in 1..=20 {
            set_number(&folder, number);
            serves_number(&host, number);
        }
        done.store(true, Ordering::SeqCst);
        let calls: u32 = clients.into_iter().map(|client| client.join().expect("no call failed")).sum();
        assert!(calls > 100, "{calls}");
    });
    assert!(host.status(NAME)["deploys"].as_u64() >= Some(21));
}

#[test]
fn the_last_good_files_outlive_the_process() {
    let (host, folder) = host(json!({}));
    let host = host.start();
    set_number(&folder, 1);
    serves_number(&host, 1);
    set_number(&folder, 2);
    symlink("/etc/passwd", folder.join("deep/users")).expect("made");
    refused(&host, "`deep/users` is a symbolic link that leads out of the function's folder");
    serves_number(&host, 1);
    // A crash, a hand-over, a restart.
    let before = host.serving_pid();
    kill_process(process(before), Signal::KILL).expect("killed");
    host.until(Running::serving_pid, |pid| *pid != before && *pid != host.pid());
    serves_number(&host, 1);
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    serves_number(&host, 1);
    let host = host.stop().start();
    serves_number(&host, 1);
    assert_eq!(host.status(NAME)["state"], "serving_previous");
    fs::remove_file(folder.join("deep/users")).expect("removed");
    serves_number(&host, 2);
    assert_eq!(host.status(NAME)["state"], "serving");
}

#[test]
fn a_damaged_store_is_mended_from_the_folder_and_never_served() {
    let (host, folder) = host(json!({}));
    let host = host.start();
    serves_number(&host, 0);
    let tree = PathBuf::from(get(&host, "/folder"));
    let host = host.stop();
    // Also the blob, of which this is a link.
    write(&tree, "number", "7");
    let host = host.start();
    serves_number(&host, 0);
    // Without the folder, what is damaged cannot be had.
    let host = host.stop();
    write(&tree, "number", "7");
    fs::write(folder.join("fezz.json"), "{").expect("written");
    let host = host.start();
    host.get(&format!("/rpc/{NAME}/numbers")).assert_status(404);
    host.wait_for_log(|line| line.message().contains("number` is not in the store"));
}

#[test]
fn what_cannot_be_deployed_is_named() {
    let (host, folder) = host(json!({}));
    let host = host
        .env("HHRF_MAX_ASSETS_FILES", "50")
        .env("HHRF_MAX_ASSETS_BYTES", "10000")
        .env("HHRF_MAX_ASSETS_DEPTH", "4")
        .start();
    serves_number(&host, 0);
    let bad = folder.join("bad");
    let mut number = 0;
    let mut try_with = |make: &dyn Fn(), reason: &str| {
        make();
        refused(&host, reason);
        serves_number(&host, number);
        let removed =
            if bad.is_dir() && !bad.is_symlink() { fs::remove_dir_all(&bad) } else { fs::remove_file(&bad) };
        removed.expect("removed");
        number += 1;
        set_number(&folder, number);
        serves_number(&host, number);
    };
    try_with(&|| symlink("../../../secrets", &bad).expect("made"), "`bad` is a symbolic link that leads out");
    try_with(&|| symlink("bad", &bad).expect("made"), "`bad` is a symbolic link that leads in a circle");
    try_with(&|| symlink(".", &bad).expect("made"), "`bad` is a symbolic link that leads in a circle");
    try_with(&|| symlink("missing", &bad).expect("made"), "`bad` is a symbolic link to nothing");
    let fifo = || assert!(Command::new("mkfifo").arg(&bad).status().expect("mkfifo runs").success());
    try_with(&fifo, "`bad` is a pipe");
    let many = || (0..60).for_each(|number| write(&bad, number.to_string(), "x"));
    try_with(&many, "more than 50 files and folders beside its library");
    try_with(&|| write(&folder, "bad", [0; 10_001]), "more than 10000 bytes");
    try_with(&|| write(&bad, "2/3/4/5/file", ""), "`bad/2/3/4/5` is more than 4 folders deep");
}

#[test]
fn a_file_that_cannot_be_read_leaves_what_serves() {
    let (host, folder) = host(json!({}));
    let host = with_permissions(host).start();
    serves_number(&host, 0);
    let closed = |path: &str, mode: &str| {
        let changed = Command::new("chmod").arg(mode).arg(folder.join(path)).status();
        assert!(changed.expect("chmod runs").success());
    };
    for path in ["deep/er/number", "deep/er"] {
        closed(path, "a-rwx");
        refused(&host, path);
        assert_eq!(get(&host, "/numbers"), "0 0 0");
        closed(path, "u+rwX");
        host.until(|host| host.status(NAME)["state"].clone(), |state| state == "serving");
    }
    // And nobody can change what is served.
    assert_eq!(get(&host, "/write"), ["permission denied"; 7].join(", "));
    serves_number(&host, 0);
}

const RELATIVE_PATHS: &str = "by a relative path
by a relative path
[\"relative.txt\"]
18
true
true
assets/relative.txt

assets
invalid input parameter
entity not found
entity not found
entity not found";

#[test]
fn files_are_found_by_relative_paths_in_the_process_and_isolated() {
    for isolation in ["none", "process"] {
        let (host, folder) = host(json!({ "isolation": isolation }));
        let host = host.start();
        serves_number(&host, 0);
        assert_eq!(get(&host, "/relative/relative.txt"), "by a relative path");
        assert_eq!(get(&host, "/read"), "by a relative path");
        assert_eq!(get(&host, "/cwd"), get(&host, "/folder"));
        assert_eq!(get(&host, "/relative-paths"), RELATIVE_PATHS, "isolation {isolation}");
        // Another build has another folder.
        let others = get(&host, "/folder");
        write(&folder, "assets/relative.txt", "changed");
        set_number(&folder, 1);
        serves_number(&host, 1);
        assert_eq!(get(&host, "/relative/relative.txt"), "changed");
        assert!(Path::new(&others).exists(), "the history has it");
    }
}

#[test]
fn functions_in_one_process_have_their_own_relative_paths() {
    let (host, _) = host(json!({}));
    let other = "other@1.0.0";
    let host = host.function_with(other, &library("fezz-fixture-assets"), ROUTES, json!({}));
    write(&host.functions().join(other), "assets/relative.txt", "the other one's");
    let bare = "bare@1.0.0";
    let host = host.function_with(bare, &library("fezz-fixture-assets"), ROUTES, json!({})).start();
    let read = |name: &str, path: &str| host.get(&format!("/rpc/{name}{path}")).text().to_owned();
    for _ in 0..3 {
        for path in ["/read", "/relative/relative.txt"] {
            assert_eq!(read(NAME, path), "by a relative path");
            assert_eq!(read(other, path), "the other one's");
        }
        assert_ne!(read(NAME, "/cwd"), read(other, "/cwd"));
    }
    // Without files of its own, the process' working directory.
    let of_the_host = fs::read_link(format!("/proc/{}/cwd", host.serving_pid())).expect("read");
    assert_eq!(Path::new(&read(bare, "/cwd")), of_the_host);
}

#[test]
fn c_code_finds_files_by_relative_paths() {
    for isolation in ["none", "process"] {
        let more = json!({ "isolation": isolation });
        let host = bare().function_with(NAME, &library("fezz-fixture-application"), ROUTES, more);
        write(&host.functions().join(NAME), "files/four", "four");
        assert_eq!(get(&host.start(), "/native-files"), "none", "isolation {isolation}");
    }
}

#[test]
fn isolated_functions_change_none_of_their_files() {
    let (host, _) = host(json!({ "isolation": "process" }));
    let host = host.start();
    serves_number(&host, 0);
    assert_eq!(get(&host, "/write"), ["permission denied"; 7].join(", "));
}

#[test]
fn what_no_record_refers_to_is_collected_and_what_is_alike_is_kept_once() {
    let (host, folder) = host(json!({}));
    for number in 0..50 {
        write(&folder, format!("many/{number}"), format!("file {number}"));
    }
    let host = host.start();
    serves_number(&host, 0);
    let same = PathBuf::from(get(&host, "/folder")).join("many/7");
    let inode = |path: &Path| fs::metadata(path).expect("it is there").ino();
    let first = inode(&same);
    for number in 1..15 {
        set_number(&folder, number);
        serves_number(&host, number);
    }
    let trees = host.until(|host| in_store(host, "trees").len(), |trees| (10..=11).contains(trees));
    // One of `relative.txt`, one of each file in `many`, and one of each number that is kept.
    host.until(|host| in_store(host, "blobs").len(), |blobs| *blobs <= 51 + trees);
    let last = PathBuf::from(get(&host, "/folder"));
    assert_eq!(inode(&last.join("many/7")), first, "it was copied once");
    // Without a record nothing is kept, also what a process that was killed has left behind.
    let host = host.stop();
    let store = host.root().join(".fezz/store");
    write(&store, "trees/0123456789abcdef.new/x", "half");
    write(&store, "blobs/0123456789abcdef.new", "half");
    fs::remove_dir_all(&folder).expect("removed");
    fs::remove_dir_all(host.root().join(".fezz/history")).expect("removed");
    let host = host.start();
    host.until(|host| in_store(host, "trees").len() + in_store(host, "blobs").len(), |left| *left == 0);
}

#[test]
fn twenty_thousand_files_are_deployed_and_one_of_them_changed() {
    let (host, folder) = host(json!({}));
    for number in 0..20_000 {
        write(&folder, format!("many/{}/{number}.txt", number % 100), number.to_string());
    }
    let host = host.start();
    serves_number(&host, 0);
    assert_eq!(host.status(NAME)["assets"]["files"], 20_003);
    assert_eq!(get(&host, "/files/many/77/19977.txt"), "19977");
    write(&folder, "many/77/19977.txt", "changed");
    host.until(|host| get(host, "/files/many/77/19977.txt"), |text| text == "changed");
    fs::remove_dir_all(folder.join("many")).expect("removed");
    host.until(|host| host.status(NAME)["assets"]["files"].clone(), |files| *files == 3);
}

#[test]
fn a_folder_that_is_filled_while_it_is_watched_is_deployed_whole() {
    let (host, folder) = host(json!({}));
    let host = host.env("HHRF_RESCAN_MS", "600000").start();
    serves_number(&host, 0);
    // Longer than the settle time, in folders that were not there before.
    for number in 0..30 {
        write(&folder, format!("new/{}/{number}", number % 7), "x");
        thread::sleep(Duration::from_millis(20));
    }
    host.until(|host| host.status(NAME)["assets"]["files"].clone(), |files| *files == 33);
    assert_eq!(host.status(NAME)["deploys"], 2, "no half of it was deployed");
    // In all of them changes are seen.
    write(&folder, "new/3/3", "changed");
    host.until(|host| get(host, "/files/new/3/3"), |text| text == "changed");
    // Files that vanish while they are read are no error.
    for number in 1..=100 {
        write(&folder, "new/3/passing", number.to_string());
        fs::remove_file(folder.join("new/3/passing")).expect("removed");
    }
    set_number(&folder, 1);
    serves_number(&host, 1);
    assert_eq!(host.status(NAME)["last_error"], Value::Null);
}

const GREET: &str = "const char *greeting(void) { return GREETING; }";
const CALLER: &str = r#"#include "fezz.h"
const char *greeting(void);
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    fezz_respond_static(response, 200, fezz_pairs(NULL, 0), fezz_slice(greeting(), strlen(greeting())));
}
"#;

/// Compiles a function whose library needs another one, `lib/libgreet.so` in its folder, or `libgreet.so`.
fn with_private_library(
    host: &Host,
    name: &str,
    greeting: &str,
    soname: &str,
    below: &str,
    more: &Value,
) -> Folder {
    let build = host.root().join(format!("build-{name}-{greeting}"));
    fs::create_dir_all(&build).expect("made");
    fs::write(build.join("greet.c"), GREET).expect("written");
    fs::write(build.join("lib.c"), CALLER).expect("written");
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/fezz-abi/include");
    let cc = |arguments: &[&str]| {
        let status =
            Command::new("cc").current_dir(&build).args(["-shared", "-fPIC"]).args(arguments).status();
        assert!(status.expect("cc runs").success());
    };
    let greeting = format!("-DGREETING=\"{greeting}\"");
    cc(&["-o", soname, &greeting, &format!("-Wl,-soname,{soname}"), "greet.c"]);
    let origin = format!("-Wl,-rpath,$ORIGIN{below}");
    cc(&["-o", "lib.so", "-I", include, "lib.c", soname, &origin, "-Wl,--enable-new-dtags"]);
    let folder = Folder::new(&host.functions(), name);
    let target = folder.path().join(below.trim_start_matches('/'));
    fs::create_dir_all(&target).expect("made");
    fs::copy(build.join(soname), target.join(soname)).expect("copied");
    folder.create_with(&fs::read(build.join("lib.so")).expect("read"), more);
    folder
}

#[test]
fn libraries_in_the_folder_are_found_by_origin() {
    let host = bare();
    with_private_library(&host, "a@1.0.0", "one", "libgreet-a.so", "", &json!({}));
    with_private_library(&host, "b@1.0.0", "two", "libgreet-b.so", "/lib", &json!({}));
    let isolated = json!({ "isolation": "process" });
    with_private_library(&host, "c@1.0.0", "three", "libgreet-a.so", "/lib", &isolated);
    let host = host.start();
    for (name, greeting) in [("a", "one"), ("b", "two"), ("c", "three")] {
        host.get(&format!("/rpc/{name}@1.0.0")).assert_status(200).assert_text(greeting);
    }
}

#[test]
fn a_library_with_the_name_of_another_is_not_taken_for_it() {
    let host = bare();
    with_private_library(&host, "a@1.0.0", "one", "libgreet.so", "/lib", &json!({}));
    let host = host.start();
    host.get("/rpc/a@1.0.0").assert_status(200).assert_text("one");
    // Another function.
    let builder = host.host();
    with_private_library(builder, "b@1.0.0", "two", "libgreet.so", "/lib", &json!({}));
    host.until(|host| host.status("b@1.0.0")["state"].clone(), |state| state == "serving");
    host.get("/rpc/b@1.0.0").assert_status(503);
    let message = host.status("b@1.0.0")["last_error"]["message"].to_string();
    assert!(message.contains("`libgreet.so` is another one than that of a@1.0.0"), "{message}");
    // The same one, and a process of its own.
    with_private_library(builder, "c@1.0.0", "one", "libgreet.so", "/lib", &json!({}));
    with_private_library(
        builder,
        "b@1.0.0",
        "two",
        "libgreet.so",
        "/lib",
        &json!({ "isolation": "process" }),
    );
    host.until(|host| host.get_anew("/rpc/b@1.0.0").text().to_owned(), |text| text == "two");
    host.until(|host| host.get_anew("/rpc/c@1.0.0").text().to_owned(), |text| text == "one");
    // A new build of the first one waits for a new process.
    fs::remove_dir_all(builder.functions().join("c@1.0.0")).expect("removed");
    with_private_library(builder, "a@1.0.0", "three", "libgreet.so", "/lib", &json!({}));
    host.until(
        |host| host.status("a@1.0.0")["last_error"]["message"].to_string(),
        |message| message.contains("hand over to a new process"),
    );
    host.get_anew("/rpc/a@1.0.0").assert_text("one");
    host.until(|host| host.status("c@1.0.0"), Value::is_null);
    host.signal(Signal::HUP);
    host.until(|host| host.get_anew("/rpc/a@1.0.0").text().to_owned(), |text| text == "three");
}
