//! Where settings come from, and what wrong ones get.

use std::process::Output;

use fezz_testkit::Host;

use crate::host;

fn fails(host: &Host) -> (i32, String) {
    let Output { status, stderr, .. } = host.command().output().expect("the host runs");
    (status.code().expect("an exit code"), String::from_utf8(stderr).expect("UTF-8"))
}

#[test]
fn all_wrong_settings_are_told_at_once_with_exit_64() {
    let host = Host::new()
        .env("HHRF_TIMEOUT_MS", "soon")
        .env("HHRF_MAX_CONCURENCY", "5")
        .env("HHRF_LISTEN", "127.0.0.1:0")
        .arg("--listen=nowhere")
        .arg("--config=settings.toml");
    std::fs::write(
        host.root().join("settings.toml"),
        "grace_ms = -1\nexpose_panics = \"maybe\"\nlog = \"loud=yes\"\n",
    )
    .expect("written");
    let (code, text) = fails(&host);
    assert_eq!(code, 64, "{text}");
    for expected in [
        "HHRF_TIMEOUT_MS: `soon` is not a whole number",
        "did you mean `max_concurrency`?",
        "--listen: `nowhere` is not an address",
        "settings.toml: grace_ms: `-1`",
        "settings.toml: expose_panics: `maybe` is neither true nor false",
        "settings.toml: log: `loud=yes` is not a log filter",
    ] {
        assert!(text.contains(expected), "no `{expected}` in {text}");
    }
}

#[test]
fn a_file_that_is_missing_or_broken_is_told() {
    let (code, text) = fails(&Host::new().arg("--config=missing.toml"));
    assert!(code == 64 && text.contains("missing.toml"), "{code} {text}");
    let host = Host::new().env("HHRF_CONFIG", "broken.toml");
    std::fs::write(host.root().join("broken.toml"), "listen = \n").expect("written");
    let (code, text) = fails(&host);
    assert!(code == 64 && text.contains("broken.toml"), "{code} {text}");
    let (code, text) = fails(&Host::new().arg("--no-such-flag"));
    assert!(code == 64 && text.contains("--no-such-flag"), "{code} {text}");
}

#[test]
fn flags_stand_over_environment_over_file() {
    let host = host().env("HHRF_GRACE_MS", "2222").env("HHRF_EXPOSE_PANICS", "true").arg("--log=debug");
    std::fs::create_dir(host.root().join("config")).expect("made");
    std::fs::write(
        host.root().join("config/hhrf.toml"),
        "grace_ms = 1111\nlog = \"error\"\nmax_body_bytes = 3\nexpose_panics = false\n",
    )
    .expect("written");
    let mut running = host.start();
    // The file's own: three bytes pass, four do not.
    running.request("POST", "/rpc/fix/echo", &[], b"123").assert_status(200);
    running.request("POST", "/rpc/fix/echo", &[], b"1234").assert_problem(413);
    // The environment's over the file's.
    assert!(running.get("/rpc/fix/panic").text().contains("secret detail"));
    running.signal(rustix::process::Signal::TERM);
    assert!(running.wait().success());
    let line = running.wait_for_log(|line| line.message() == "draining");
    assert_eq!(line.0["fields"]["grace_ms"], 2222);
    // The flag's over the file's.
    running.wait_for_log(|line| line.level() == "DEBUG" && line.message() == "answered");
}

#[test]
fn an_address_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, text) = fails(&Host::new().env("HHRF_LISTEN", &address));
    assert!(code == 1 && text.contains("cannot listen on") && text.contains(&address), "{code} {text}");
}

#[test]
fn a_missing_functions_folder_is_told() {
    let (code, text) = fails(&Host::new().arg("--functions=nowhere"));
    assert!(code == 1 && text.contains("nowhere"), "{code} {text}");
}

#[test]
fn the_shipped_file_holds_every_setting_with_its_default() {
    let shipped =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/hhrf.toml")).expect("read");
    let enabled: String = shipped
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let host = host().arg("--config=all.toml");
    std::fs::write(host.root().join("all.toml"), &enabled).expect("written");
    assert_eq!(enabled.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count(), 79);
    host.start().get("/rpc/fix/ping").assert_status(200);
}
