//! Connections that lie about their messages, and connections that never finish them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::running;

#[test]
fn messages_that_can_be_read_in_two_ways_are_400() {
    let host = running();
    for (name, head) in [
        (
            "length, then encoding",
            "POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "encoding, then length",
            "POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        ),
        ("no host", "GET /rpc/fix/ping HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n"),
        ("bare line feeds", "GET /rpc/fix/ping HTTP/1.1\nhost: x\n\n"),
        ("one bare line feed", "GET /rpc/fix/ping HTTP/1.1\r\nhost: x\nx-a: b\r\n\r\n"),
        (
            "gzip, chunked",
            "POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked twice",
            "POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            "POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
        ),
        ("length with a sign", "POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\na"),
        ("space before the colon", "GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\nx-a : b\r\n\r\n"),
        ("folded header", "GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c\r\n\r\n"),
        ("no version", "GET /rpc/fix/ping\r\n\r\n"),
        ("not HTTP", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n"),
    ] {
        let answer = host.raw(head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{name}: {answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains("request_id"),
            "{name}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 400 ").count(), 1, "{name}: {answer}");
    }
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn a_bad_message_behind_a_good_one_is_refused_in_its_turn() {
    let host = running();
    let answer = host.raw(b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\n\r\nGET /rpc/fix/ping HTTP/1.1\r\n\r\n");
    let (first, second) = answer.split_once("pong").expect("the first is answered");
    assert!(first.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(second.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn the_guards_own_method_means_nothing_from_a_client() {
    let host = running();
    let answer = host.raw(b"GUARD-REJECTED / HTTP/1.1\r\nhost: rejected\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn five_hundred_connections_that_never_finish_are_closed_within_ten_seconds() {
    let host = running();
    // Each end of them costs a descriptor, here and there.
    let (soft, hard) = {
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        (limits.current, limits.maximum)
    };
    assert!(
        soft.is_none_or(|soft| soft >= 700) || hard.is_none_or(|hard| hard >= 700),
        "too few file descriptors"
    );
    let starts: [&[u8]; 5] = [
        b"",
        b"GET /rpc/fix/ping HT",
        b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\nx-header: ",
        b"POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc",
        b"POST /rpc/fix/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
    ];
    let begin = Instant::now();
    let mut slow: Vec<TcpStream> = (0..500).map(|_| host.connect()).collect();
    for (index, stream) in slow.iter_mut().enumerate() {
        stream.write_all(starts[index % starts.len()]).expect("sent");
    }
    thread::scope(|scope| {
        // Half of them drip, to look alive.
        let dripping: Vec<_> =
            slow.iter().step_by(2).map(|stream| stream.try_clone().expect("cloned")).collect();
        scope.spawn(move || drip(dripping, begin));
        let good = scope.spawn(|| {
            let mut answers = 0;
            while begin.elapsed() < Duration::from_secs(4) {
                host.get("/rpc/fix/ping").assert_status(200);
                answers += 1;
            }
            answers
        });
        for (index, stream) in slow.iter_mut().enumerate() {
            let mut answer = Vec::new();
            // A reset is an end too: it met bytes that were still on their way.
            let _ = stream.read_to_end(&mut answer);
            assert!(begin.elapsed() < Duration::from_secs(10), "connection {index} is open");
        }
        assert!(good.join().expect("the good client") > 100);
    });
    host.get("/rpc/fix/ping").assert_status(200);
}

/// Sends a byte now and then to each of them, for as long as they could be open.
fn drip(mut streams: Vec<TcpStream>, begin: Instant) {
    while begin.elapsed() < Duration::from_secs(10) && !streams.is_empty() {
        streams.retain_mut(|stream| stream.write_all(b"a").is_ok());
        thread::sleep(Duration::from_millis(300));
    }
}
