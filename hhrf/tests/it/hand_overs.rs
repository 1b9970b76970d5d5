//! Hand-overs from one serving process to the next: no request fails.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use fezz_testkit::{Host, LogLine, Running};
use rustix::process::Signal;

use crate::isolation::{FAULTS, faults};
use crate::{ROUTES, fixture, host};

/// Asks again and again, on connections that are kept, until it is told to stop; answers with the failures.
struct Load<'h> {
    host: &'h Running,
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load<'_> {
    fn run(&self) -> Vec<String> {
        let mut failures = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
            for _ in 0..50 {
                let url = format!("http://{}/rpc/fix/ping", self.host.address());
                match agent.get(&url).call() {
                    Ok(answer) if answer.status().as_u16() == 200 => {
                        self.answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(answer) => failures.push(answer.status().to_string()),
                    Err(error) => failures.push(error.to_string()),
                }
            }
        }
        failures
    }
}

#[test]
fn hand_overs_under_load_fail_no_request() {
    let host = host().start();
    let load = Load { host: &host, stop: AtomicBool::new(false), answered: AtomicUsize::new(0) };
    let rounds = if std::env::var_os("FEZZ_CHAOS").is_some() { 100 } else { 5 };
    let failures: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| load.run())).collect();
        for round in 1..=rounds {
            let before = load.answered.load(Ordering::Relaxed);
            let serving = host.serving_pid();
            host.signal(Signal::HUP);
            let handed = |line: &&LogLine| line.message() == "handed over";
            host.until(|host| host.log().iter().filter(handed).count(), |count| *count == round);
            assert_ne!(host.serving_pid(), serving);
            host.until(|_| load.answered.load(Ordering::Relaxed), |answered| *answered > before + 20);
        }
        load.stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("joined")).collect()
    });
    let answered = load.answered.load(Ordering::Relaxed);
    eprintln!("{rounds} hand-overs, {answered} requests, {} failures", failures.len());
    assert!(failures.is_empty(), "{failures:?} beside {answered} answers");
    // All of the old ones have ended, or are about to.
    host.until(
        |host| {
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", host.pid())).unwrap_or_default()
        },
        |children| children.split_whitespace().count() == 1,
    );
}

#[test]
fn a_call_that_is_running_at_a_hand_over_is_answered() {
    let host = host().start();
    let mut client = host.connect();
    client.write_all(b"GET /rpc/fix/sleep/5000 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    let mut idle = host.connect();
    idle.write_all(b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    host.until(|host| host.status("fix@latest")["calls"].clone(), |calls| *calls == 1);
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    // A connection that was kept serves on, until an answer, the first one that knows of the hand-over, is the last.
    let mut answers = String::new();
    let mut buffer = [0; 4096];
    while !answers.contains("connection: close") {
        idle.write_all(b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        let read = idle.read(&mut buffer).expect("answered");
        assert_ne!(read, 0, "it ended without a word: {answers}");
        answers += &String::from_utf8_lossy(&buffer[..read]);
    }
    idle.read_to_string(&mut answers).expect("closed");
    assert!(answers.ends_with("pong"), "{answers}");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("answered and closed");
    assert!(answer.contains("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
}

#[test]
fn a_process_with_many_libraries_is_handed_over_from() {
    let host = Host::new()
        .function("bad@1.0.0", &faults(), FAULTS)
        .function("fix@latest", &fixture(), ROUTES)
        .env("HHRF_LIBRARIES_WARNING", "2")
        .start();
    let before = host.serving_pid();
    host.get_anew("/rpc/fix/ping").assert_status(200);
    host.get_anew("/rpc/bad@1.0.0/ping").assert_status(200);
    let line = host.wait_for_log(|line| line.message().starts_with("handing over"));
    assert!(line.field("reason").contains("2 libraries"), "{line:?}");
    host.wait_for_log(|line| line.message() == "handed over");
    assert_ne!(host.serving_pid(), before);
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_process_with_much_memory_is_handed_over_from() {
    let host = host().env("HHRF_RENEW_MEMORY_BYTES", "1000").start();
    let line = host.wait_for_log(|line| line.message().starts_with("handing over"));
    assert_eq!(line.field("reason"), "memory");
    host.wait_for_log(|line| line.message() == "handed over");
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_program_that_was_replaced_is_started() {
    let own = Host::new();
    let program = own.root().join("hhrf");
    std::fs::copy(fezz_testkit::host_program(), &program).expect("copied");
    let host = own.function("fix@latest", &fixture(), ROUTES).binary(&program).start();
    let before = host.serving_pid();
    let new = host.host().root().join("new");
    std::fs::copy(fezz_testkit::host_program(), &new).expect("copied");
    std::fs::rename(&new, &program).expect("renamed");
    let line = host.wait_for_log(|line| line.message().starts_with("handing over"));
    assert_eq!(line.field("reason"), "the program was replaced");
    host.wait_for_log(|line| line.message() == "handed over");
    assert_ne!(host.serving_pid(), before);
    host.get_anew("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_hand_over_to_what_cannot_start_leaves_the_old_one() {
    let host = Host::new().function("fix@latest", &fixture(), ROUTES).arg("--config=own.toml");
    std::fs::write(host.root().join("own.toml"), "").expect("written");
    let host = host.start();
    let serving = host.serving_pid();
    std::fs::write(host.host().root().join("own.toml"), "nonsense = 1").expect("written");
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message().contains("ended before it was ready"));
    host.get_anew("/rpc/fix/ping").assert_status(200);
    assert_eq!(host.serving_pid(), serving);
}
