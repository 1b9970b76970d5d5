//! What was good outlives the process: a start, a crash, a hand-over and an upgrade serve no less than before.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fezz_testkit::{Folder, Host, Numbered, Running, digest, manifest};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::supervision::process;
use crate::{ROUTES, fixture, host};

/// `f@1.0.0`, build 1, with a secret.
fn with_secret() -> (Host, Numbered, Folder) {
    let host = Host::new();
    let builds = Numbered::new(host.root());
    let f = Folder::new(&host.functions(), "f@1.0.0");
    f.create_with(&builds.build(1), &json!({ "secrets": ["TOKEN"] }));
    fs::write(host.root().join("secrets.env"), "TOKEN=one\n").expect("written");
    (host.env("HHRF_SECRETS_FILE", "secrets.env"), builds, f)
}

/// Kills the serving process, and waits until another one serves.
fn crash(host: &Running) {
    let before = host.serving_pid();
    kill_process(process(before), Signal::KILL).expect("killed");
    host.until(Running::serving_pid, |pid| *pid != before && *pid != host.pid());
    // Waits in the listener's queue until somebody serves.
    host.get_anew("/");
}

fn hand_over(host: &Running) {
    let before = host.log().iter().filter(|line| line.message() == "handed over").count();
    host.signal(Signal::HUP);
    host.until(
        |host| host.log().iter().filter(|line| line.message() == "handed over").count(),
        |count| *count > before,
    );
}

#[track_caller]
fn assert_previous(host: &Running, builds: &Numbered, build: u64, reason: &str) {
    let answer = host.get_anew("/rpc/f@1.0.0");
    assert_eq!(Numbered::number(&answer.assert_status(200).body), Some(build), "{answer:?}");
    // At a hand-over the old process may still be asked.
    let status = host.until(|host| host.status("f@1.0.0"), |status| status["state"] == "serving_previous");
    assert_eq!(status["digest"], digest(&builds.build(build)), "{status:#}");
    let message = status["last_error"]["message"].to_string();
    assert!(message.contains(reason), "no `{reason}` in {message}");
}

/// Breaks the folder and expects the last good state after a crash, a hand-over and a restart.
#[track_caller]
fn survives(break_it: impl Fn(&Path, &Folder, &[u8]), reason: &str) {
    let (host, builds, f) = with_secret();
    let host = host.start();
    host.get("/rpc/f@1.0.0").assert_status(200);
    f.overwrite(&builds.build(2));
    host.until(|host| host.status("f@1.0.0")["digest"].clone(), |found| *found == digest(&builds.build(2)));
    break_it(host.host().root(), &f, &builds.build(3));
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    assert_previous(&host, &builds, 2, reason);
    crash(&host);
    assert_previous(&host, &builds, 2, reason);
    let host = host.stop().start();
    assert_previous(&host, &builds, 2, reason);
    // And what is put right is served.
    fs::write(host.host().root().join("secrets.env"), "TOKEN=two\n").expect("written");
    let _ = fs::remove_dir_all(f.path());
    f.create_with(&builds.build(4), &json!({ "secrets": ["TOKEN"] }));
    host.until(|host| host.status("f@1.0.0")["digest"].clone(), |found| *found == digest(&builds.build(4)));
    host.until(|host| host.status("f@1.0.0")["state"].clone(), |state| state == "serving");
}

#[test]
fn a_broken_manifest() {
    survives(|_, f, _| f.write_manifest("{"), "JSON");
}

#[test]
fn a_manifest_that_is_deleted() {
    survives(|_, f, _| fs::remove_file(f.path().join("fezz.json")).expect("removed"), "cannot be read");
}

#[test]
fn a_library_that_is_cut() {
    survives(|_, f, new| f.overwrite(&new[..new.len() / 2]), "cut short");
}

#[test]
fn a_library_that_is_deleted() {
    survives(|_, f, _| fs::remove_file(f.library()).expect("removed"), "cannot be read");
}

#[test]
fn a_secret_that_is_missing() {
    survives(|root, _, _| fs::write(root.join("secrets.env"), "OTHER=1\n").expect("written"), "TOKEN");
}

#[test]
fn a_secrets_file_that_is_missing() {
    survives(|root, _, _| fs::remove_file(root.join("secrets.env")).expect("removed"), "secrets.env");
}

#[test]
fn an_env_file_that_is_broken() {
    survives(|_, f, _| fs::write(f.path().join(".env"), "no assignment\n").expect("written"), ".env");
}

#[test]
fn a_library_that_crashes() {
    survives(
        |root, f, _| {
            let source = "#include <stdlib.h>\n#include \"fezz.h\"\n\
                          __attribute__((constructor)) static void misbehave(void) { abort(); }\n\
                          FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }\n\
                          FEZZ_EXPORT void fezz_fetch(const FezzRequest *q, FezzResponse *s) { (void)q; (void)s; }";
            let bad = fezz_testkit::c_library(root, "bad", source);
            f.overwrite(&fs::read(bad).expect("read"));
        },
        "crashed",
    );
}

#[test]
fn the_secret_itself_is_as_it_was() {
    let host = host().env("HHRF_SECRETS_FILE", "secrets.env").function_with(
        "s@1.0.0",
        &fixture(),
        ROUTES,
        json!({ "secrets": ["GREETING"] }),
    );
    let file = host.root().join("secrets.env");
    fs::write(&file, "GREETING=one\n").expect("written");
    let host = host.start();
    let variable =
        |host: &Running| host.get_anew("/rpc/s@1.0.0/variable").assert_status(200).text().to_owned();
    assert_eq!(variable(&host), "one");
    fs::write(&file, "").expect("written");
    crash(&host);
    assert_eq!(variable(&host), "one");
    let kept = host.host().root().join(".fezz/last-good/secrets/s@1.0.0.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&kept).expect("kept").permissions());
    assert_eq!(mode & 0o777, 0o600);
    // A secret that has been changed leaves nothing of the old one behind.
    fs::write(&file, "GREETING=two\n").expect("written");
    host.until(variable, |value| value == "two");
    host.until(|_| fs::read_to_string(&kept).expect("read"), |text| !text.contains("one"));
}

#[test]
fn a_function_that_was_removed_does_not_come_back() {
    let (host, builds, f) = with_secret();
    let host = host.start();
    f.remove();
    host.until(|host| host.status("f@1.0.0"), Value::is_null);
    crash(&host);
    host.get_anew("/rpc/f@1.0.0").assert_problem(404);
    f.create(&builds.build(2));
    f.write_manifest("{");
    host.until(|host| host.status("f@1.0.0")["state"].clone(), |state| state == "failed");
    host.get_anew("/rpc/f@1.0.0").assert_problem(404);
    crash(&host);
    host.get_anew("/rpc/f@1.0.0").assert_problem(404);
    // Nor if that happens while no host runs.
    f.remove();
    f.create(&builds.build(3));
    host.until(|host| host.status("f@1.0.0")["state"].clone(), |state| state == "serving");
    let host = host.stop();
    f.remove();
    // Longer than a replacement may take.
    std::thread::sleep(std::time::Duration::from_millis(600));
    let host = host.start();
    host.get_anew("/rpc/f@1.0.0").assert_problem(404);
}

#[test]
fn a_functions_folder_that_is_not_there() {
    let (host, builds, f) = with_secret();
    let host = host.start();
    let (functions, aside) = (host.host().functions(), host.host().root().join("aside"));
    fs::rename(&functions, &aside).expect("renamed");
    for begin in [crash, hand_over] {
        begin(&host);
        assert_previous(&host, &builds, 1, "No such file");
    }
    fs::rename(&aside, &functions).expect("renamed");
    f.overwrite(&builds.build(2));
    host.until(|host| host.status("f@1.0.0")["digest"].clone(), |found| *found == digest(&builds.build(2)));
}

#[test]
fn aliases_that_are_broken() {
    let (host, builds, _) = with_secret();
    Folder::new(&host.functions(), "f@2.0.0").create(&builds.build(2));
    let file = host.functions().join("aliases.json");
    fs::write(&file, r#"{ "f": { "live": { "1.0.0": 1 } } }"#).expect("written");
    let host = host.start();
    let live = |host: &Running| Numbered::number(&host.get_anew("/rpc/f@live").assert_status(200).body);
    assert_eq!(live(&host), Some(1));
    fs::write(&file, r#"{ "f": { "live": { "2.0.0": 1 } } }"#).expect("written");
    host.until(live, |build| *build == Some(2));
    for text in ["{", r#"{ "f": { "live": { "3.0.0": 1 } } }"#] {
        fs::write(&file, text).expect("written");
        crash(&host);
        assert_eq!(live(&host), Some(2));
        assert!(host.admin("/functions").json()["aliases_error"].is_string());
    }
    let host = host.stop().start();
    assert_eq!(live(&host), Some(2));
    fs::remove_file(&file).expect("removed");
    host.until(|host| host.get_anew("/rpc/f@live").status.as_u16(), |status| *status == 404);
    crash(&host);
    host.get_anew("/rpc/f@live").assert_problem(404);
}

fn gauge(host: &Running) -> String {
    let text = host.admin("/metrics").text().to_owned();
    let value = text.lines().find_map(|line| line.strip_prefix("fezz_config_last_reload_successful "));
    value.expect("the gauge").to_owned()
}

#[test]
fn settings_that_are_broken() {
    let host = host().arg("--config=own.toml");
    let file = host.root().join("own.toml");
    fs::write(&file, "max_body_bytes = 3\n").expect("written");
    let host = host.start();
    let in_force = |host: &Running, longest: usize| {
        let post = |length| host.request("POST", "/rpc/fix/echo", &[], &vec![b'x'; length]).status.as_u16();
        assert_eq!((post(longest), post(longest + 1)), (200, 413));
    };
    assert_eq!(gauge(&host), "1");
    fs::write(&file, "max_body_bytes = 5\n").expect("written");
    hand_over(&host);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    for text in
        ["timeout_ms = \"oops\"\n", "listen = \n", "nonsense = 1\n", "state_dir = \"/proc/nowhere\"\n"]
    {
        fs::write(&file, text).expect("written");
        crash(&host);
        in_force(&host, 5);
        assert_eq!(gauge(&host), "0", "{text}");
        host.wait_for_log(|line| line.level() == "ERROR" && line.message().contains("the last good one"));
    }
    fs::remove_file(&file).expect("removed");
    crash(&host);
    in_force(&host, 5);
    fs::write(&file, "timeout_ms = \"oops\"\n").expect("written");
    let host = host.stop().start();
    in_force(&host, 5);
    fs::write(&file, "max_body_bytes = 7\n").expect("written");
    hand_over(&host);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    in_force(&host, 7);
    assert_eq!(gauge(&host), "1");
}

#[test]
fn settings_that_are_broken_with_a_state_folder_of_their_own() {
    let host = host().arg("--config=own.toml");
    let file = host.root().join("own.toml");
    fs::write(&file, "state_dir = \"elsewhere\"\nmax_body_bytes = 3\n").expect("written");
    let host = host.start();
    for text in ["state_dir = \"elsewhere\"\ntimeout_ms = \n", "state_dir = elsewhere\n"] {
        fs::write(&file, text).expect("written");
        crash(&host);
        assert_eq!(host.request("POST", "/rpc/fix/echo", &[], b"four").status.as_u16(), 413);
    }
}

/// A release's folder with the program.
fn release(root: &Path, name: &str) -> PathBuf {
    let folder = root.join(name);
    fs::create_dir(&folder).expect("made");
    fs::copy(fezz_testkit::host_program(), folder.join("hhrf")).expect("copied");
    folder
}

/// Has a link lead elsewhere, in one step.
fn relink(link: &Path, target: &Path) {
    let new = link.with_extension("new");
    symlink(target, &new).expect("linked");
    fs::rename(&new, link).expect("renamed");
}

fn program_of(host: &Running) -> String {
    let link = fs::read_link(format!("/proc/{}/exe", host.serving_pid())).expect("it runs");
    link.to_string_lossy().into_owned()
}

#[test]
fn a_program_is_the_one_that_its_link_leads_to() {
    let own = host();
    let (v1, cur) = (release(own.root(), "v1"), own.root().join("cur"));
    symlink(&v1, &cur).expect("linked");
    // Started by a path relative to the working directory, as a shell would.
    let mut command = own.command();
    let mut by_link = std::process::Command::new("./cur/hhrf");
    by_link.current_dir(own.root()).env_clear().stderr(std::process::Stdio::piped());
    by_link.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    std::mem::swap(&mut command, &mut by_link);
    let host = own.env("HHRF_WATCH_PROGRAM", "false").start_as(command);
    let v2 = release(host.host().root(), "v2");
    relink(&cur, &v2);
    hand_over(&host);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    assert!(program_of(&host).contains("/v2/"), "{}", program_of(&host));
    fs::remove_dir_all(&v1).expect("removed");
    crash(&host);
    host.get_anew("/rpc/fix/ping").assert_status(200);
    assert!(program_of(&host).contains("/v2/"), "{}", program_of(&host));
    // Where there is no program at all, or none that starts, it is the supervisor's.
    for broken in ["", "#!/bin/sh\nexit 3\n"] {
        let _ = fs::remove_file(v2.join("hhrf"));
        if !broken.is_empty() {
            fs::write(v2.join("hhrf"), broken).expect("written");
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(v2.join("hhrf"), executable).expect("executable");
        }
        crash(&host);
        host.get_anew("/rpc/fix/ping").assert_status(200);
        assert!(program_of(&host).contains("/v1/"), "{}", program_of(&host));
    }
}

#[test]
fn a_functions_folder_may_be_a_link() {
    let host = Host::new().env("HHRF_RESCAN_MS", "3600000");
    let builds = Numbered::new(host.root());
    let cur = host.functions();
    fs::remove_dir(&cur).expect("removed");
    let [r1, r2] = ["r1", "r2"].map(|name| host.root().join(name));
    for (root, build) in [(&r1, 1), (&r2, 2)] {
        Folder::new(root, "f@1.0.0").create(&builds.build(build));
    }
    symlink(&r1, &cur).expect("linked");
    let host = host.start();
    let served = |host: &Running| Numbered::number(&host.get_anew("/rpc/f@1.0.0").assert_status(200).body);
    assert_eq!(served(&host), Some(1));
    relink(&cur, &r2);
    host.until(served, |build| *build == Some(2));
    Folder::new(&r2, "f@1.0.0").overwrite(&builds.build(3));
    host.until(served, |build| *build == Some(3));
    // Another folder of the same name is another folder, too.
    let functions = host.host().root().join("new");
    Folder::new(&functions, "f@1.0.0").create(&builds.build(4));
    fs::rename(&r2, host.host().root().join("old")).expect("renamed");
    fs::rename(&functions, &r2).expect("renamed");
    host.until(served, |build| *build == Some(4));
    Folder::new(&r2, "f@1.0.0").write_manifest(&manifest("f@1.0.0", &json!({ "max_body_bytes": 1 })));
    Folder::new(&r2, "f@1.0.0").overwrite(&builds.build(5));
    host.until(served, |build| *build == Some(5));
}
