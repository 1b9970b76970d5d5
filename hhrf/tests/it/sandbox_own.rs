//! What a worker has for its own: its descriptors, its environment, its temporary folder, the files that it may read.

use std::fs;
use std::path::{Path, PathBuf};

use fezz_testkit::{Host, Running};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::isolation::assert_gone;
use crate::processes::workers_of;
use crate::sandbox_attempts::{attempt, attempting, attempts, wary_attempts, with_attempts};

/// What is open in a process, by its links in `/proc`.
fn open_in(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").flatten();
    entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect()
}

#[test]
fn nothing_but_its_own_sockets_is_open_in_a_worker() {
    let host = Host::new();
    let secret = host.root().join("secret");
    fs::write(&secret, "secret").expect("written");
    let secret = secret.to_str().expect("UTF-8").to_owned();
    // As a careless start script does.
    let host = host.after(&format!("exec 7<>{secret} 9<{secret}"));
    // One function in the host's process opens a file without close-on-exec before there is a worker; and one that
    // does not even pass its probe if such a file is open there.
    let (plain, wary) = (attempts(&host), wary_attempts(&host));
    let host =
        with_attempts(host, &json!({})).function("plain@1.0.0", &plain, &[("POST", "/{*what}")]).start();
    let opened = host.request("POST", "/rpc/plain@1.0.0/leak", &[], secret.as_bytes());
    opened.assert_status(200).assert_text("allowed");
    let open = attempt(&host, "descriptors", "");
    for line in open.lines() {
        let (descriptor, target) = line.split_once('=').expect("a pair");
        let is_own = match descriptor {
            "0" => target == "/dev/null",
            "1" | "2" => target.starts_with("pipe:"),
            _ => target.starts_with("socket:"),
        };
        assert!(is_own, "{open}");
    }
    let folder = fezz_testkit::Folder::new(&host.host().functions(), "wary@1.0.0");
    folder.create_with(
        &fs::read(wary).expect("compiled"),
        &json!({ "isolation": "process", "routes": [{ "path": "/{*what}", "method": "ANY" }] }),
    );
    host.until(|host| host.status("wary@1.0.0"), |status| status["state"] == "serving");
    host.request("POST", "/rpc/wary@1.0.0/owner/O_NONBLOCK", &[], b"")
        .assert_status(200)
        .assert_text("allowed");
    // What the supervisor starts has only what it was given. (The function above has opened it once.)
    let inherited = open_in(host.serving_pid()).iter().filter(|target| **target == secret).count();
    assert_eq!(inherited, 1, "{:?}", open_in(host.serving_pid()));
}

#[test]
fn variables_come_after_the_start_and_none_is_the_loaders() {
    let host = attempting(&json!({ "env": { "GREETING": "hello" } })).start();
    assert_eq!(attempt(&host, "owner/O_NONBLOCK", ""), "allowed");
    let worker = workers_of(host.pid())[0];
    let given = fs::read(format!("/proc/{worker}/environ")).expect("it runs");
    assert!(!String::from_utf8_lossy(&given).contains("GREETING"), "{given:?}");
    let folder = host.host().folder("try@1.0.0");
    for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH"] {
        fs::write(folder.join(".env"), format!("{name}=/nowhere\n")).expect("written");
        let refused = |error: &str| error.contains(name) && error.contains("dynamic loader");
        host.until(|host| host.status("try@1.0.0")["last_error"].to_string(), |error| refused(error));
    }
    assert_eq!(attempt(&host, "owner/O_NONBLOCK", ""), "allowed", "the old build serves on");
    // Nor as a secret.
    let host = attempting(&json!({ "secrets": ["LD_PRELOAD"] })).env("LD_PRELOAD", "").start();
    let error = host.status("try@1.0.0")["last_error"].to_string();
    assert!(error.contains("LD_PRELOAD"), "{error}");
}

#[test]
fn many_variables_reach_a_worker() {
    let large = "x".repeat(200_000);
    let host = attempting(&json!({}));
    fs::write(host.folder("try@1.0.0").join(".env"), format!("LARGE={large}\n")).expect("written");
    let host = host.start();
    assert_eq!(attempt(&host, "owner/O_NONBLOCK", ""), "allowed");
}

#[test]
fn a_temporary_folder_lives_as_long_as_its_worker() {
    for sandbox in ["strict", "off"] {
        let host = attempting(&json!({ "sandbox": sandbox })).start();
        let file = PathBuf::from(attempt(&host, "temporary", ""));
        assert!(
            file.starts_with(fs::canonicalize(host.host().root()).expect("there").join(".fezz/tmp")),
            "{file:?}"
        );
        assert_eq!(fs::read_to_string(&file).expect("written"), "x");
        let folder = file.parent().expect("a folder").to_owned();
        let worker = Pid::from_raw(workers_of(host.pid())[0].cast_signed()).expect("a process");
        kill_process(worker, Signal::KILL).expect("killed");
        assert_gone(worker);
        host.until(|_| folder.exists(), |exists| !exists);
        // The next one has another.
        assert_ne!(PathBuf::from(attempt(&host, "temporary", "")), file);
    }
}

#[test]
fn what_a_killed_host_has_left_is_removed_and_what_a_running_one_has_is_not() {
    let first = attempting(&json!({})).start();
    let file = PathBuf::from(attempt(&first, "temporary", ""));
    let state = first.host().root().join(".fezz");
    // Another host on the same state folder.
    let second = attempting(&json!({})).arg("--state-dir").arg(state.to_str().expect("UTF-8")).start();
    assert!(attempt(&second, "temporary", "").ends_with("/x"));
    assert!(file.exists());
    let serving = Pid::from_raw(first.serving_pid().cast_signed()).expect("a process");
    first.signal(Signal::KILL);
    assert_gone(serving);
    assert!(file.exists());
    let third = attempting(&json!({})).arg("--state-dir").arg(state.to_str().expect("UTF-8")).start();
    assert!(attempt(&third, "temporary", "").ends_with("/x"));
    third.until(|_| file.exists(), |exists| !exists);
}

/// A host whose `/etc` and `/usr/local/lib` are copies of its own, in a mount namespace; they lie in its root folder.
fn with_own_system(host: Host) -> Host {
    let root = host.root().to_str().expect("UTF-8").to_owned();
    let user = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
    let script = format!(
        "mount --bind {root}/etc /etc && mount --bind {root}/lib /usr/local/lib && exec \"$0\" \"$@\""
    );
    fs::create_dir_all(host.root().join("lib")).expect("made");
    let copied = std::process::Command::new("cp").args(["-r", "/etc", &root]).output().expect("cp runs");
    assert!(host.root().join("etc").is_dir(), "{copied:?}");
    host.after(&format!(r#"exec unshare --mount {user} sh -c '{script}' "$0" "$@""#))
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(new, path).expect("renamed");
}

#[test]
fn certificates_can_be_read_and_keys_beside_them_cannot() {
    let host = with_own_system(attempting(&json!({})));
    for file in ["ssl/private/key.pem", "ssl/key.pem", "pki/tls/private/key.pem", "ssl/certs/ca.pem"] {
        let path = host.root().join("etc").join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, "x").expect("written");
    }
    fs::write(host.root().join("lib/libx.so"), "x").expect("written");
    let host = host.start();
    for file in
        ["/etc/ssl/private/key.pem", "/etc/ssl/key.pem", "/etc/pki/tls/private/key.pem", "/etc/passwd"]
    {
        assert_eq!(attempt(&host, "file/read", file), "refused: Permission denied", "{file}");
    }
    // And a library where the loader is configured to look.
    for file in ["/etc/ssl/certs/ca.pem", "/usr/local/lib/libx.so"] {
        assert_eq!(attempt(&host, "file/read", file), "allowed", "{file}");
    }
}

#[test]
fn a_host_that_runs_as_root_says_so() {
    let host = attempting(&json!({})).start();
    let warned = host.log().iter().any(|line| line.message().contains("the host runs as root"));
    assert_eq!(warned, rustix::process::geteuid().is_root());
}

/// The soft and the hard limit of core dumps.
fn core_limit(host: &Running) -> Vec<String> {
    let limits = fs::read_to_string(format!("/proc/{}/limits", host.serving_pid())).expect("it runs");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a line");
    line.split_whitespace().take(2).map(str::to_owned).collect()
}

#[test]
fn no_core_dump_has_the_secrets_unless_it_is_asked_for() {
    let host = attempting(&json!({})).after("ulimit -c unlimited").start();
    assert_eq!(core_limit(&host), ["0", "0"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", host.pid())).expect("it runs");
    assert!(limits.lines().any(|line| line.starts_with("Max core file size        0")), "{limits}");
    let host = attempting(&json!({})).after("ulimit -c unlimited").env("HHRF_CORE_DUMPS", "true").start();
    assert_eq!(core_limit(&host), ["unlimited", "unlimited"]);
}

#[test]
fn a_file_for_name_resolution_may_be_replaced_under_a_living_worker() {
    let host = with_own_system(attempting(&json!({ "sandbox": "net", "ports": [53] })));
    let hosts = host.root().join("etc/hosts");
    replace(&hosts, "127.1.2.3 somewhere\n");
    let host = host.start();
    assert_eq!(attempt(&host, "resolve", "somewhere"), "127.1.2.3");
    for last in 4..20 {
        replace(&hosts, &format!("127.1.2.{last} somewhere\n"));
        assert_eq!(attempt(&host, "file/read", "/etc/hosts"), "allowed");
        assert_eq!(attempt(&host, "resolve", "somewhere"), format!("127.1.2.{last}"));
    }
}
