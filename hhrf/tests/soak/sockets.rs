//! WebSockets by the thousand: clients that connect and leave, a swap and a hand-over with open sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use fezz_testkit::{Host, Running, library};
use rustix::process::Signal;
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::{length, say};

const HEAD: &str = "HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

fn start() -> Running {
    let route = |path: &str| json!({ "path": path, "method": "GET", "upgrade": true });
    let routes: Vec<_> = ["/echo", "/closing", "/open", "/pid", "/build"].map(route).into();
    let env = json!({ "BUILD": "1" });
    let manifest =
        json!({ "id": "ws", "version": "latest", "routes": routes, "env": env, "max_upgrades": 5000 });
    Host::new()
        .env("HHRF_GRACE_MS", "30000")
        .deploy("ws@latest", &library("fezz-fixture-upgrade"), manifest)
        .start()
}

fn resident_kib(host: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.serving_pid())).expect("read");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

/// Comes and leaves, in one of several ways.
fn visit(host: &Running, way: u64) {
    let mut stream = host.connect();
    let head = format!("GET /rpc/ws/echo {HEAD}");
    match way % 5 {
        // Within its head.
        0 => stream.write_all(&head.as_bytes()[..head.len() / 2]).expect("sent"),
        // Without having read the answer, which resets the connection.
        1 => stream.write_all(head.as_bytes()).expect("sent"),
        way => {
            stream.write_all(head.as_bytes()).expect("sent");
            let mut answer = [0; 16];
            stream.read_exact(&mut answer).expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
            // At once; within a message; with a message whose echo nobody reads.
            match way {
                2 => {}
                3 => stream.write_all(b"\x82\xff\0\0\0").expect("sent"),
                _ => stream.write_all(b"\x82\x81\0\0\0\0x").expect("sent"),
            }
        }
    }
}

#[test]
fn clients_that_connect_and_leave_leave_nothing_behind() {
    const CLIENTS: u64 = 4;
    let visits = length(1_000, 100_000);
    let host = start();
    for way in 0..200 {
        visit(&host, way);
    }
    let before = resident_kib(&host);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let host = &host;
            scope.spawn(move || (client..visits).step_by(4).for_each(|way| visit(host, way / CLIENTS)));
        }
    });
    host.until(|host| host.status("ws@latest")["upgrades"].clone(), |open| *open == 0);
    host.until(|host| host.get("/rpc/ws/open").text().to_owned(), |open| open == "0");
    let more = resident_kib(&host).saturating_sub(before);
    say(&format!("{visits} clients came and left: {more} KiB more memory"));
    assert!(more < 64 << 10, "{more} KiB");
}

type Socket = WebSocket<TcpStream>;

fn open(host: &Running) -> Socket {
    client(format!("ws://{}/rpc/ws/closing", host.address()), host.connect()).expect("a WebSocket").0
}

fn echoes(socket: &mut Socket) {
    socket.send(Message::text("x")).expect("sent");
    assert_eq!(socket.read().expect("an echo"), Message::text("x"));
}

#[test]
fn a_swap_and_a_hand_over_break_no_open_socket() {
    let sockets = length(100, 1_000);
    let host = start();
    let mut open_ones: Vec<_> = (0..sockets).map(|_| open(&host)).collect();
    let file = host.host().functions().join("ws@latest/fezz.json");
    let manifest = std::fs::read_to_string(&file).expect("the manifest");
    std::fs::write(&file, manifest.replace(r#""BUILD":"1""#, r#""BUILD":"2""#)).expect("written");
    host.until(|host| host.get("/rpc/ws/build").text().to_owned(), |build| build == "2");
    open_ones.iter_mut().for_each(echoes);
    open_ones.push(open(&host));
    let serving = host.get("/rpc/ws/pid").text().to_owned();
    host.signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    for socket in &mut open_ones {
        let Ok(Message::Close(Some(goodbye))) = socket.read() else { panic!("it is broken") };
        assert_eq!(goodbye.code, CloseCode::Away);
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    }
    host.until(|host| host.get_anew("/rpc/ws/pid").text().to_owned(), |pid| *pid != serving);
    echoes(&mut open(&host));
    say(&format!("{sockets} sockets were open at a swap and a hand-over: none broke"));
}
