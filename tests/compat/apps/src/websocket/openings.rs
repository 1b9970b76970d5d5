//! How a connection is opened or refused, and what an application can do with its side of it.

use super::frames::{TEXT, bye, sent, whole};
use crate::script::{self, Piece, Socket, Step};

pub(super) fn all() -> Vec<Step> {
    [openings(), refusals(), negotiations(), uses()].concat()
}

/// How a connection is opened, or not.
fn openings() -> Vec<Step> {
    let early = |name: &str, first: Vec<u8>| {
        sent(name, "/echo", vec![Piece::Bytes(first), Piece::Answered, Piece::Bytes(bye())])
    };
    vec![
        early("a message in front of the answer", whole(TEXT, "early")),
        early("half a message in front of the answer", whole(TEXT, "early")[..4].to_vec()),
        early(
            "many messages in front of the answer",
            (0..50).flat_map(|n| whole(TEXT, n.to_string())).collect(),
        ),
        sent(
            "all in front of the answer",
            "/echo",
            vec![Piece::Bytes([whole(TEXT, "early"), bye()].concat()), Piece::Answered],
        ),
        sent("ended at once", "/echo", vec![Piece::Answered, Piece::End]),
        sent(
            "ended behind a message",
            "/echo",
            vec![Piece::Answered, Piece::Bytes(whole(TEXT, "last")), Piece::End],
        ),
        sent(
            "ended in a message",
            "/echo",
            vec![Piece::Answered, Piece::Bytes(whole(TEXT, "last")[..5].to_vec()), Piece::End],
        ),
        sent("no socket here", "/not-a-socket", vec![Piece::Answered]),
        sent("nothing here", "/nowhere", vec![Piece::Answered]),
        sent("forbidden", "/forbidden", vec![Piece::Answered]),
    ]
}

/// Requests that lack something, as bytes: each ends its connection.
fn refusals() -> Vec<Step> {
    let mut steps = Vec::new();
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let heads = [
        ("no upgrade", format!("connection: close\r\nsec-websocket-version: 13\r\n{key}")),
        (
            "no connection",
            format!("connection: close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n{key}"),
        ),
        (
            "another protocol",
            format!("connection: upgrade, close\r\nupgrade: h3\r\nsec-websocket-version: 13\r\n{key}"),
        ),
        (
            "version 8",
            format!("connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 8\r\n{key}"),
        ),
        ("no version", format!("connection: upgrade, close\r\nupgrade: websocket\r\n{key}")),
        (
            "no key",
            "connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n".to_owned(),
        ),
    ];
    for (name, head) in heads {
        for path in ["/echo", "/get"] {
            steps.push(script::raw(
                format!("opening of {path}: {name}"),
                &[&format!("GET {path} HTTP/1.1\r\nhost: (host)\r\n{head}\r\n")],
            ));
        }
    }
    for (method, version) in [("POST", "HTTP/1.1"), ("GET", "HTTP/1.0"), ("HEAD", "HTTP/1.1")] {
        let fields = "host: (host)\r\nconnection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
        let name = format!("opening by {method} {version}");
        steps.push(script::raw(name, &[&format!("{method} /get {version}\r\n{fields}{key}\r\n")]));
    }
    steps
}

/// What a client can offer, to each kind of handler.
fn negotiations() -> Vec<Step> {
    let mut steps = Vec::new();
    for headers in [
        vec![("sec-websocket-protocol", "chat")],
        vec![("sec-websocket-protocol", "other, superchat")],
        vec![("sec-websocket-protocol", "other")],
        vec![("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")],
        vec![("origin", "http://elsewhere.example")],
        vec![("x-let-in", "1")],
        vec![("cookie", "a=1"), ("authorization", "Basic YTpi")],
    ] {
        for target in ["/protocols", "/echo", "/with-headers", "/forbidden", "/get"] {
            let forbidden = target == "/forbidden" && headers[0].0 != "x-let-in";
            let sent = if forbidden {
                vec![Piece::Answered]
            } else {
                vec![Piece::Answered, Piece::Bytes([whole(TEXT, "x"), bye()].concat())]
            };
            steps.push(Step::Socket(Socket {
                name: format!("opening of {target} with {headers:?}"),
                target,
                protocol: "websocket",
                headers: headers.clone(),
                sent,
            }));
        }
    }
    steps
}

/// What an application can do with its side of a socket.
fn uses() -> Vec<Step> {
    let mut steps = vec![
        sent("push", "/push", vec![Piece::Answered, Piece::Pause, Piece::Bytes(bye())]),
        sent("drop", "/drop", vec![Piece::Answered]),
        sent("panic", "/panic", vec![Piece::Answered]),
        sent("split", "/split", vec![Piece::Answered, Piece::Pause, Piece::Bytes(bye())]),
    ];
    for target in ["/close/1000", "/close/1001", "/close/1011", "/close/3000", "/close/4999"] {
        steps.push(sent(
            format!("closed by the server: {target}"),
            target,
            vec![Piece::Answered, Piece::Pause, Piece::Bytes(bye())],
        ));
    }
    steps
}
