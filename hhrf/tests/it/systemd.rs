//! What the supervisor has to do with systemd: what it tells, and the sockets that it takes over.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::host;

#[test]
fn systemd_is_told() {
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let receive = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let host =
        host().env("NOTIFY_SOCKET", path.to_str().expect("UTF-8")).env("WATCHDOG_USEC", "2000000").start();
    let until = |part: &str| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !receive().contains(part) {
            assert!(Instant::now() < deadline, "no {part}");
        }
    };
    // A start that takes long shows signs of life before.
    until("READY=1");
    until("WATCHDOG=1");
    host.signal(Signal::HUP);
    until("RELOADING=1");
    until("READY=1");
    host.stop();
    until("STOPPING=1");
}

/// Sends a request for `path` to whoever listens there, or will; the answer can be read until it ends.
fn ask(listener: &TcpListener, path: &str) -> TcpStream {
    let address = listener.local_addr().expect("bound");
    let mut client = TcpStream::connect(address).expect("the socket's queue takes it");
    client.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    write!(client, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("sent");
    client
}

#[track_caller]
fn assert_answered(mut client: TcpStream) {
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("answered and closed");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn activated_sockets_are_taken_over() {
    let listen = || TcpListener::bind("127.0.0.1:0").expect("bound");
    let (functions, admin) = (listen(), listen());
    // Whoever comes before the host waits for it.
    let early = [ask(&functions, "/rpc/fix/ping"), ask(&admin, "/livez")];
    // The process that the variables name is the one that they are for.
    let host = host()
        .after("exec 3<&0 4>&1 </dev/null >/dev/null; export LISTEN_PID=$$")
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", "admin:functions");
    let handed = |socket: &TcpListener| OwnedFd::from(socket.try_clone().expect("copied"));
    let mut command = host.command();
    command.stdin(handed(&admin)).stdout(handed(&functions));
    let running = host.start_as(command);
    early.into_iter().for_each(assert_answered);
    assert_eq!(running.address(), functions.local_addr().expect("bound"));
    assert_eq!(running.admin_address(), admin.local_addr().expect("bound"));
    // They outlive the serving process.
    let serving = running.serving_pid();
    running.signal(Signal::HUP);
    running.wait_for_log(|line| line.message() == "handed over");
    assert_ne!(running.serving_pid(), serving);
    assert_answered(ask(&functions, "/rpc/fix/ping"));
    running.stop();
}
