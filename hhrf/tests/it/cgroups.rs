//! Workers in control groups of version 2. Ignored by default, since the host must be in one in which it may make others:
//! `just test-cgroups` runs these in a virtual machine that has such a group.

use std::path::PathBuf;

use fezz_testkit::Running;
use rustix::process::{Signal, kill_process, test_kill_process};
use serde_json::json;

use crate::isolation::{alone, assert_gone, isolated, pid};
use crate::processes::stray;
use crate::supervision::process;

/// The groups of all workers that there are.
fn groups() -> Vec<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").expect("this process is in groups");
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("one of version 2");
    let parent = PathBuf::from("/sys/fs/cgroup").join(own.strip_suffix("/host").expect("the host's own"));
    let entries = std::fs::read_dir(parent).expect("a group").flatten();
    entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("/fezz-")).collect()
}

fn until_no_group_is_left(host: &Running) {
    host.until(|_| groups(), Vec::is_empty);
}

#[test]
#[ignore = "needs a control group: just test-cgroups"]
fn a_worker_has_a_group_for_as_long_as_it_lives() {
    let host = isolated(&alone()).start();
    let worker = pid(&host);
    let [group] = groups().try_into().expect("one");
    let read = |file| std::fs::read_to_string(group.join(file)).expect("it can be read").trim().to_owned();
    assert_eq!(read("cgroup.procs"), worker.as_raw_pid().to_string());
    assert_eq!((read("memory.max"), read("memory.swap.max")), ("536870912".to_owned(), "0".to_owned()));
    let enforced = host.status("bad@1.0.0")["isolation"]["enforced"].to_string();
    assert!(enforced.contains("memory.max"), "{enforced}");
    host.get("/rpc/bad@1.0.0/fault/abort").assert_problem(502);
    host.until(|_| groups(), |groups| !groups.contains(&group));
    pid(&host);
    host.stop();
    assert_eq!(groups(), Vec::<PathBuf>::new());
}

#[test]
#[ignore = "needs a control group: just test-cgroups"]
fn memory_that_no_process_has_counts_too() {
    let host = isolated(&json!({ "workers": { "max": 1 }, "memory_max_bytes": 64 << 20 })).start();
    host.get("/rpc/bad@1.0.0/fault/hidden-memory").assert_problem(502);
    host.wait_for_log(|line| {
        line.message().contains("crashed")
            && line.message().contains("more than the 67108864 bytes of memory")
    });
    host.get("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
#[ignore = "needs a control group: just test-cgroups"]
fn what_has_lost_its_mark_ends_with_its_worker() {
    let host = isolated(&json!({ "sandbox": "off", "workers": { "max": 1 } })).start();
    let (left, worker) = (stray(&host, "unmarked-stray"), pid(&host));
    kill_process(worker, Signal::KILL).expect("killed");
    assert_gone(left);
    // Nor does it outlive the process that serves.
    let left = stray(&host, "unmarked-stray");
    host.until(|_| groups(), |groups| groups.len() == 1);
    kill_process(process(host.serving_pid()), Signal::KILL).expect("killed");
    assert_gone(left);
    until_no_group_is_left(&host);
}

#[test]
#[ignore = "needs a control group: just test-cgroups"]
fn what_a_supervisor_that_was_killed_has_left_ends_with_the_next_start() {
    let host = isolated(&json!({ "sandbox": "off", "workers": { "max": 1 } })).start();
    let (left, serving) = (stray(&host, "unmarked-stray"), process(host.serving_pid()));
    host.signal(Signal::KILL);
    assert_gone(serving);
    assert_eq!(groups().len(), 1);
    test_kill_process(left).expect("it has nobody who ends it");
    let next = isolated(&alone()).start();
    assert_gone(left);
    until_no_group_is_left(&next);
}
