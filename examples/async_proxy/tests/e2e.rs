//! The proxy on the real host, in front of a test server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use fezz_sdk::testing::TestHost;

#[test]
fn requests_and_responses_are_forwarded() {
    let upstream = upstream();
    let host = TestHost::new().variable("UPSTREAM", &format!("http://{upstream}")).start();
    let answer = host.request("GET", "/a/b?c=d", &[("x-a", "1")], b"");
    let text = answer.assert_status(203).text().to_ascii_lowercase();
    assert!(text.starts_with("get /a/b?c=d http/1.1\r\n") && text.contains("x-a: 1\r\n"), "{text}");
    assert_eq!(answer.header("x-upstream"), Some("yes"));
    let body = vec![b'x'; 300_000];
    let answer = host.request("POST", "/upload", &[], &body);
    assert!(answer.assert_status(203).text().ends_with("300000 bytes of body"), "{answer:?}");
}

/// A server that responds with the request's head and the size of its body, and closes the connection.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    let is_whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        text.contains("\r\n\r\n")
            && (!text.contains("transfer-encoding: chunked") || text.ends_with("\r\n0\r\n\r\n"))
    };
    while !is_whole(&request) {
        let count = stream.read(&mut piece).expect("the proxy sends");
        request.extend_from_slice(&piece[..count]);
    }
    let text = String::from_utf8_lossy(&request);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let body = body.matches('x').count();
    let body = format!("{head}\r\n{body} bytes of body");
    write!(
        stream,
        "HTTP/1.1 203 OK\r\nx-upstream: yes\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the proxy reads");
}
