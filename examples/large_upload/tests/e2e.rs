//! Memory use of a gibibyte in each direction through the real host.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use fezz_sdk::testing::{RunningTestHost, TestHost};

const GIB: u64 = 1 << 30;
/// The limit of additional memory for a gibibyte.
const EXTRA_KIB: u64 = 32 * 1024;

/// One test for both directions, to start the host once.
#[test]
fn a_gibibyte_passes_in_each_direction_in_little_memory() {
    let host = TestHost::new().start();
    host.request("PUT", "", &[], b"warm").assert_status(200);
    host.get("/1").assert_status(200);
    let before = peak_kib(&host);

    let mut client = TcpStream::connect(host.address()).expect("the host accepts");
    write!(
        client,
        "PUT /rpc/upload@1.0.0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {GIB}\r\n\r\n"
    )
    .expect("sent");
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..GIB >> 20 {
        client.write_all(&chunk).expect("the host takes it");
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the host answers");
    assert!(answer.contains(&format!("\"bytes\":{GIB}")), "{answer}");
    let extra = peak_kib(&host) - before;
    assert!(extra < EXTRA_KIB, "the upload took {extra} KiB");

    let mut client = TcpStream::connect(host.address()).expect("the host accepts");
    write!(client, "GET /rpc/upload@1.0.0/1024 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("sent");
    assert_eq!(chunked_length(BufReader::with_capacity(1 << 20, client)), GIB);
    let extra = peak_kib(&host) - before;
    assert!(extra < EXTRA_KIB, "both took {extra} KiB");
    println!("a gibibyte there and another back: {extra} KiB more of resident memory at the peak");
}

/// The length of a response's chunked body.
fn chunked_length(mut answer: impl BufRead) -> u64 {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).expect("a head");
    }
    let mut length = 0;
    loop {
        line.clear();
        answer.read_line(&mut line).expect("a chunk");
        let size = u64::from_str_radix(line.trim(), 16).expect("a chunk's size");
        let with_end = size + 2;
        let copied = std::io::copy(&mut answer.by_ref().take(with_end), &mut std::io::sink());
        assert_eq!(copied.expect("a chunk"), with_end);
        if size == 0 {
            return length;
        }
        length += size;
    }
}

/// The host's peak resident memory.
fn peak_kib(host: &RunningTestHost) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", host.running().serving_pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak is there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
