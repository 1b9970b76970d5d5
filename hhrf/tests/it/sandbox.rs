//! What an isolated function may do and use, and what it may not.

use fezz_testkit::{Host, Running};
use serde_json::json;

use crate::isolation::{FAULTS, alone, faults, isolated, pid};

fn attempt(host: &Running, what: &str, argument: &str) -> String {
    let path = format!("/rpc/bad@1.0.0/forbidden/{what}");
    host.request("POST", &path, &[], argument.as_bytes()).assert_status(200).text().to_owned()
}

#[test]
fn its_environment_is_what_it_declares() {
    let keys = json!({ "isolation": "process", "env": { "GREETING": "hello", "B": "2" } });
    let host = Host::new()
        .function_with("bad@1.0.0", &faults(), FAULTS, keys)
        .env("HHRF_TIMEOUT_MS", "20000")
        .start();
    let environment = host.get("/rpc/bad@1.0.0/env").assert_status(200).text().to_owned();
    let lines: Vec<_> = environment.lines().collect();
    let [_, _, path, temporary] = lines.as_slice() else { panic!("{environment}") };
    assert_eq!(lines[..2], ["B=2", "GREETING=hello"]);
    assert!(path.starts_with("PATH=/"), "{environment}");
    assert!(temporary.starts_with("TMPDIR=/"), "{environment}");
}

#[test]
fn descriptors_have_an_end_in_the_worker_and_none_in_the_host() {
    let host = isolated(&alone()).env("HHRF_WORKER_OPEN_FILES", "64").start();
    let opened: usize =
        host.get("/rpc/bad@1.0.0/fault/descriptors").assert_status(200).text().parse().expect("a number");
    assert!((1..64).contains(&opened), "{opened}");
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_file_has_its_size_and_a_disk_its_end() {
    let host = isolated(&alone()).env("HHRF_WORKER_FILE_BYTES", "5000000").start();
    // The kernel ends who writes beyond the limit.
    host.get("/rpc/bad@1.0.0/fault/disk").assert_problem(502);
    let line = host.wait_for_log(|line| line.message().contains("worker crashed"));
    assert!(line.message().contains("SIGXFSZ"), "{line:?}");
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn cpu_time_has_an_end() {
    let host = isolated(&alone()).env("HHRF_WORKER_CPU_SECONDS", "1").start();
    host.get("/rpc/bad@1.0.0/fault/loop").assert_problem(502);
    let line = host.wait_for_log(|line| line.message().contains("worker crashed"));
    assert!(line.message().contains("SIGXCPU"), "{line:?}");
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn a_worker_with_half_of_its_cpu_time_is_replaced() {
    let host = isolated(&alone()).env("HHRF_WORKER_CPU_SECONDS", "4").start();
    let worker = pid(&host);
    // Each of these takes 300 ms of it, so that none ends the worker in the middle of a call.
    let used = (1..=12).take_while(|_| {
        host.get("/rpc/bad@1.0.0/fault/busy").assert_status(200);
        pid(&host) == worker
    });
    let used = used.count();
    assert!((5..=8).contains(&used), "{used} of them fit into 2 seconds");
    assert_eq!(host.status("bad@1.0.0")["isolation"]["crashes"], 0);
}

#[test]
fn the_sandbox_refuses_what_is_not_the_functions_business() {
    let mut host = isolated(&alone());
    let secret = host.root().join("secret");
    std::fs::write(&secret, "secret").expect("written");
    let secret = secret.to_str().expect("UTF-8").to_owned();
    host = host.env("HHRF_TIMEOUT_MS", "20000");
    let host = host.start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    let host_pid = host.pid().to_string();
    let outside = format!("{secret}.new");
    for (what, argument) in [
        ("read", secret.as_str()),
        ("read", "/etc/passwd"),
        ("read", "/proc/1/environ"),
        ("list", "/"),
        ("write", &outside),
        ("remove", &secret),
        ("chmod", &secret),
        ("connect", &address),
        ("connect", "1.1.1.1:53"),
        ("listen", ""),
        ("udp", ""),
        ("unix", "/run/systemd/private"),
        ("exec", ""),
        ("fork", ""),
        ("signal", &host_pid),
        ("signal", "1"),
        ("ptrace", ""),
        ("mount", ""),
        ("bpf", ""),
        ("io_uring", ""),
        ("unshare", ""),
        ("death-signal", ""),
        ("raise-limit", ""),
        ("session", ""),
    ] {
        let outcome = attempt(&host, what, argument);
        assert!(outcome.starts_with("refused: "), "{what} {argument}: {outcome}");
        let by_the_sandbox = ["ermission denied", "not permitted", "not implemented"];
        assert!(by_the_sandbox.iter().any(|part| outcome.contains(part)), "{what} {argument}: {outcome}");
    }
    let data = host.host().root().join(".fezz/data/bad/note");
    assert_eq!(attempt(&host, "write", data.to_str().expect("UTF-8")), "allowed");
    assert_eq!(attempt(&host, "thread", ""), "allowed");
    assert!(!std::path::Path::new(&outside).exists());
    assert_eq!(host.status("bad@1.0.0")["isolation"]["crashes"], 0);
}

#[test]
fn net_may_connect_to_its_ports_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    let host = isolated(&json!({ "sandbox": "net", "ports": [address.port()] })).start();
    assert_eq!(attempt(&host, "connect", &address.to_string()), "allowed");
    let elsewhere = other.local_addr().expect("bound").to_string();
    assert!(attempt(&host, "connect", &elsewhere).contains("ermission denied"));
    for what in ["listen", "udp", "exec", "fork"] {
        assert!(attempt(&host, what, "").starts_with("refused: "), "{what}");
    }
    assert!(attempt(&host, "read", "/etc/passwd").starts_with("refused: "));
}

#[test]
fn off_is_isolated_from_crashes_and_nothing_else() {
    let host = isolated(&json!({ "sandbox": "off", "workers": { "max": 1 } })).start();
    assert_eq!(attempt(&host, "read", "/etc/passwd"), "allowed");
    assert_eq!(attempt(&host, "exec", ""), "allowed");
    host.get("/rpc/bad@1.0.0/fault/segfault").assert_problem(502);
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
}
