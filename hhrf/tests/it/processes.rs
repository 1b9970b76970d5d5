//! Workers as processes: none is left behind.

use std::io::Write;
use std::thread;
use std::time::Duration;

use fezz_testkit::{Folder, Running, host_program};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::isolation::{alone, assert_gone, isolated, pid};
use crate::probes::with_constructor;

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

/// How much a process stands back, as proc_pid_stat(5) has it.
fn nice(pid: u32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit(") ").next().expect("its name ends");
    fields.split(' ').nth(16).and_then(|nice| nice.parse().ok()).expect("a number")
}

#[test]
fn a_worker_stands_back_behind_its_host() {
    for more in [0, 7] {
        let host = isolated(&alone()).env("HHRF_WORKER_NICE", &more.to_string()).start();
        let worker = pid(&host).as_raw_pid().unsigned_abs();
        assert_eq!(nice(worker), nice(host.serving_pid()) + more);
    }
}

/// All processes below a host, each with its arguments.
fn descendants(host: u32) -> Vec<(u32, Vec<String>)> {
    let mut found = Vec::new();
    let mut parents = vec![host];
    while let Some(parent) = parents.pop() {
        for task in std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()) {
                found.push((child, arguments(child)));
                parents.push(child);
            }
        }
    }
    found
}

fn arguments(pid: u32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

/// The workers below a host, which are the processes with that argument.
pub(crate) fn workers_of(host: u32) -> Vec<u32> {
    let is_worker = |arguments: &[String]| arguments.get(1).is_some_and(|argument| argument == "worker");
    descendants(host).into_iter().filter(|(_, arguments)| is_worker(arguments)).map(|(pid, _)| pid).collect()
}

#[test]
fn each_process_has_the_hosts_name_and_its_role() {
    // Started by a path that is a link with another name: it says nothing about the names of the processes.
    let host = isolated(&json!({ "workers": { "min": 2, "max": 2 } })).env("HHRF_PROBE_TIMEOUT_MS", "60000");
    let link = host.root().join("service");
    std::os::unix::fs::symlink(host_program(), &link).expect("linked");
    let host = host.binary(&link).start();
    let hangs = with_constructor(host.host(), "hang", "for (;;) pause();");
    Folder::new(&host.host().functions(), "hang@1.0.0").create(&hangs);
    let roles = [
        "hhrf: supervisor",
        "hhrf: serving",
        "hhrf: worker bad@1.0.0 #1",
        "hhrf: worker bad@1.0.0 #2",
        "hhrf: probe hang@1.0.0",
    ];
    let all = |host: &Running| {
        let mut all = descendants(host.pid());
        all.push((host.pid(), arguments(host.pid())));
        all
    };
    let has = |all: &[(u32, Vec<String>)], role: &str| all.iter().any(|(_, arguments)| arguments[0] == role);
    let running = host.until(all, |all| roles.iter().all(|role| has(all, role)));
    for (pid, arguments) in running {
        // One that was seen right after its start takes its name a moment later.
        let name = |_: &Running| std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs");
        host.until(name, |name| name == "hhrf\n");
        assert!(roles.contains(&arguments[0].as_str()), "{arguments:?}");
    }
}

#[test]
fn no_worker_outlives_its_host() {
    let host = isolated(&json!({ "workers": { "min": 2, "max": 2 } })).start();
    let workers = host.until(|host| workers_of(host.pid()), |workers| workers.len() == 2);
    // One of them in the middle of a call.
    let mut client = host.connect();
    client.write_all(b"GET /rpc/bad@1.0.0/sleep/60000 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    host.wait_for_log(|line| line.message() == "sleeping");
    host.signal(Signal::KILL);
    workers.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).for_each(assert_gone);
}

/// By what a worker's processes are known: a limit that nothing else uses.
fn mark(pid: Pid) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    limits.lines().find(|line| line.starts_with("Max file locks")).expect("a line").to_owned()
}

/// A process that a worker of `bad@1.0.0` has started by this fault, and that has left its group, its session and its
/// parent.
pub(crate) fn stray(host: &Running, fault: &str) -> Pid {
    let answer = host.get(&format!("/rpc/bad@1.0.0/fault/{fault}"));
    let stray = answer.assert_status(200).text().parse().ok().and_then(Pid::from_raw).expect("a process id");
    // It has not, until it runs the program that does so, and then the one that waits.
    let stat = host.until(
        |_| std::fs::read_to_string(format!("/proc/{stray}/stat")).expect("it runs"),
        |stat| stat.contains("(sleep)"),
    );
    // Behind its name: its state, its parent, its group, its session.
    let rest = stat.rsplit(") ").next().expect("there is more");
    let numbers: Vec<u32> = rest.split(' ').skip(1).take(3).map(|id| id.parse().expect("an id")).collect();
    assert!(!workers_of(host.pid()).contains(&numbers[0]), "it has lost its parent: {stat}");
    assert_eq!(numbers[2], stray.as_raw_pid().cast_unsigned(), "it has a session of its own: {stat}");
    stray
}

#[test]
fn what_has_left_a_workers_session_ends_with_it() {
    let host = isolated(&json!({ "sandbox": "off", "workers": { "max": 1 } })).start();
    let (crashed, killed) = (stray(&host, "stray"), pid(&host));
    host.get("/rpc/bad@1.0.0/fault/abort").assert_problem(502);
    assert_gone(crashed);
    assert_ne!(pid(&host), killed, "it is another worker");
    let other = stray(&host, "stray");
    kill_process(pid(&host), Signal::KILL).expect("killed");
    assert_gone(other);
}

#[test]
fn what_has_left_a_workers_session_does_not_outlive_the_host() {
    for signal in [Signal::TERM, Signal::KILL] {
        let host = isolated(&json!({ "sandbox": "off", "workers": { "max": 1 } })).start();
        let stray = stray(&host, "stray");
        let serving = Pid::from_raw(host.serving_pid().cast_signed()).expect("a process id");
        kill_process(serving, signal).expect("it runs");
        assert_gone(stray);
    }
}

#[test]
fn another_workers_stray_is_left_alone() {
    let host = isolated(&json!({ "sandbox": "off", "workers": { "min": 2, "max": 2 } })).start();
    let kept = stray(&host, "stray");
    let workers = host.until(|host| workers_of(host.pid()), |workers| workers.len() == 2);
    let mut workers = workers.into_iter().filter_map(|worker| Pid::from_raw(worker.cast_signed()));
    let other = workers.find(|worker| mark(*worker) != mark(kept)).expect("two workers");
    kill_process(other, Signal::KILL).expect("killed");
    assert_gone(other);
    // Longer than it takes to look through all processes. One that was killed may still have its number.
    thread::sleep(Duration::from_millis(500));
    let stat = std::fs::read_to_string(format!("/proc/{kept}/stat")).unwrap_or_default();
    assert!(stat.contains("(sleep) S "), "it is its own worker's: {stat}");
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
