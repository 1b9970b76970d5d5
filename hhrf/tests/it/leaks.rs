//! A function in the host's own process that uses up what all of them share. Every function notices, and a hand-over, or
//! the next serving process, has all of it again.

use std::io::{Read, Write};

use fezz_testkit::{LogLine, Running};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::async_host;
use crate::isolation::assert_gone;
use crate::supervision::{crashes, provoke, unguarded};

/// Hands over, and waits for the end of the process that had to give way, which is not killed for it.
fn hand_over(host: &Running) {
    let before = host.serving_pid();
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    assert_ne!(host.serving_pid(), before);
    assert_gone(Pid::from_raw(before.cast_signed()).expect("a process id"));
    let overdue = |line: &LogLine| line.message() == "an old serving process did not end in time";
    assert!(!host.log().iter().any(overdue), "it had to be killed");
}

/// How many threads the serving process has.
fn threads(host: &Running) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", host.serving_pid()));
    tasks.map_or(0, Iterator::count)
}

#[test]
fn a_function_that_takes_all_memory_costs_a_process_and_is_named() {
    // So that it is the process that has no more, and not the machine.
    let host = unguarded().after("ulimit -d 400000").start();
    for number in 1..=2 {
        provoke(&host, "/rpc/bad@1.0.0/fault/memory");
        host.until(crashes, |crashes| crashes.len() == number);
        let line = &crashes(&host)[number - 1];
        assert!(line.message().contains("SIGABRT"), "{line:?}");
        assert_eq!(line.field("function"), "bad@1.0.0");
        host.get_anew("/rpc/fix/ping").assert_status(200);
    }
}

#[test]
fn descriptors_that_leak_are_there_again_after_a_hand_over() {
    let host = unguarded().after("ulimit -n 256").start();
    let text = host.get("/rpc/bad@1.0.0/fault/descriptors").assert_status(200).text().to_owned();
    assert!(text.parse().is_ok_and(|leaked: usize| (100..256).contains(&leaked)), "{text}");
    // Whoever comes now waits in the listener's queue, until somebody can take the connection.
    let mut waiting = host.connect();
    waiting.write_all(b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
    hand_over(&host);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("answered and closed");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn threads_that_leak_are_gone_after_a_hand_over() {
    let host = unguarded().start();
    let before = threads(&host);
    host.get("/rpc/bad@1.0.0/fault/threads").assert_status(200).assert_text("200");
    assert!(threads(&host) >= before + 200, "they are there");
    host.get_anew("/rpc/fix/ping").assert_status(200);
    hand_over(&host);
    host.until(threads, |threads| *threads < before + 100);
    host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn garbage_on_the_hosts_sockets_is_survived() {
    let host = unguarded().start();
    // Its own connection is one of them.
    provoke(&host, "/rpc/bad@1.0.0/fault/garbage");
    host.get_anew("/rpc/fix/ping").assert_status(200);
    hand_over(&host);
    host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
}

#[test]
fn a_process_that_is_killed_in_mid_stream_leaves_no_whole_body() {
    let host = async_host(json!({})).start();
    let mut client = host.connect();
    client.write_all(b"GET /rpc/async@1.0.0/stream-forever HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    client.read_exact(&mut [0; 100_000]).expect("it has begun");
    let serving = Pid::from_raw(host.serving_pid().cast_signed()).expect("a process id");
    kill_process(serving, Signal::KILL).expect("killed");
    let mut rest = Vec::new();
    let end = client.read_to_end(&mut rest);
    assert!(end.is_err() || !rest.ends_with(b"\r\n0\r\n\r\n"), "it ended as if it were whole");
    host.get_anew("/rpc/async@1.0.0/ping").assert_status(200);
    host.until(crashes, |crashes| crashes.len() == 1);
}
