//! Workers as processes: none is left behind.

use std::io::Write;
use std::thread;

use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::isolation::{alone, assert_gone, isolated, pid};

#[test]
fn a_hundred_calls_that_hang_leave_no_process_behind() {
    let host = isolated(&json!({ "workers": { "max": 4 }, "timeout_ms": 50 })).start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    host.get("/rpc/bad@1.0.0/fault/loop").assert_problem(504);
                }
            });
        }
    });
    host.until(
        |host| host.status("bad@1.0.0")["isolation"]["workers"].as_array().map(Vec::len),
        |workers| workers.is_some_and(|count| count <= 4),
    );
    let workers = host.status("bad@1.0.0")["isolation"]["workers"].clone();
    let known: Vec<_> =
        workers.as_array().expect("a list").iter().map(|worker| worker["pid"].clone()).collect();
    let running = workers_of(host.pid());
    let strays = running.iter().filter(|pid| !known.contains(&json!(pid)));
    // One may have been started since the list was made.
    assert!(strays.count() <= 4, "{running:?} against {known:?}");
    let pids = workers_of(host.pid());
    let _ = host.stop();
    pids.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).for_each(assert_gone);
}

/// Whether the kernel may give this process huge pages, as proc_pid_status(5) has it.
fn may_have_huge_pages(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    status.lines().find_map(|line| line.strip_prefix("THP_enabled:")).expect("Linux 5.0").trim() == "1"
}

#[test]
fn a_worker_has_no_huge_pages_and_the_host_keeps_its_own() {
    let host = isolated(&alone()).start();
    let worker = pid(&host).as_raw_pid().unsigned_abs();
    assert!(!may_have_huge_pages(worker));
    // The host is without them while a worker starts.
    host.until(|host| may_have_huge_pages(host.serving_pid()), |may| *may);
}

/// The workers below a host, which are the processes with that argument.
pub(crate) fn workers_of(host: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![host];
    while let Some(parent) = parents.pop() {
        for task in std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()) {
                let arguments = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
                if arguments.split(|byte| *byte == 0).nth(1) == Some(b"worker") {
                    found.push(child);
                }
                parents.push(child);
            }
        }
    }
    found
}

#[test]
fn no_worker_outlives_its_host() {
    let host = isolated(&json!({ "workers": { "min": 2, "max": 2 } })).start();
    let workers = host.until(|host| workers_of(host.pid()), |workers| workers.len() == 2);
    // One of them in the middle of a call.
    let mut client = host.connect();
    client.write_all(b"GET /rpc/bad@1.0.0/sleep/60000 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    host.until(|host| host.status("bad@1.0.0")["in_flight"].clone(), |calls| *calls == 1);
    host.signal(Signal::KILL);
    workers.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).for_each(assert_gone);
}

#[test]
fn what_a_worker_has_started_ends_with_it() {
    let host = isolated(&json!({ "sandbox": "off", "workers": { "max": 1 } })).start();
    let answer = host.get("/rpc/bad@1.0.0/fault/children");
    let children: Vec<_> = answer
        .assert_status(200)
        .text()
        .split(' ')
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect();
    assert_eq!(children.len(), 3);
    host.get("/rpc/bad@1.0.0/fault/abort").assert_problem(502);
    children.into_iter().for_each(assert_gone);
}
