//! Upgraded connections: sends the bytes of a script, and tells what came back, frame by frame if it is a WebSocket.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use fezz_compat_apps::script::{Piece, Socket};

use crate::answer::{Answer, Seen};
use crate::http1::{Connection, connect};
use crate::server::Place;

/// So that bytes do not arrive as one.
const PAUSE: Duration = Duration::from_millis(20);
/// Payloads above it are told by their length and a checksum.
const SHOWN: usize = 60;

/// Asks for the upgrade, plays the script, and reads to the end.
pub(crate) fn play(place: &Place, socket: &Socket) -> Seen {
    let Ok(mut connection) = connect(place.address) else {
        return Seen { answers: Vec::new(), events: vec!["no connection".into()] };
    };
    let mut seen = Seen::default();
    let answered = socket.sent.iter().position(|piece| matches!(piece, Piece::Answered)).unwrap_or_default();
    let (early, late) = socket.sent.split_at(answered);
    let mut bytes = head(place, socket);
    for piece in early {
        if let Piece::Bytes(more) = piece {
            bytes.extend(more);
        }
    }
    if connection.stream.write_all(&bytes).is_err() {
        seen.events.push("closed while the request was sent".into());
    }
    let status = match connection.answer("GET", None) {
        Ok(Some(answer)) => keep(&mut seen, answer),
        Ok(None) => 0,
        Err(error) => {
            seen.events.push(told(&error).into());
            return seen;
        }
    };
    if status != 101 {
        return seen;
    }
    // Reads while it writes: what is echoed would fill the buffers of both sides otherwise.
    let Ok(mut writer) = connection.stream.try_clone() else { return seen };
    thread::scope(|scope| {
        scope.spawn(move || {
            for piece in late {
                let sent = match piece {
                    Piece::Bytes(bytes) => writer.write_all(bytes),
                    Piece::Pause => {
                        thread::sleep(PAUSE);
                        Ok(())
                    }
                    Piece::End => writer.shutdown(Shutdown::Write),
                    Piece::Answered => Ok(()),
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        let events =
            if socket.protocol == "websocket" { frames(&mut connection) } else { text(&mut connection) };
        seen.events.extend(events);
    });
    seen
}

fn keep(seen: &mut Seen, answer: Answer) -> u16 {
    let status = answer.status;
    seen.answers.push(answer);
    status
}

fn head(place: &Place, socket: &Socket) -> Vec<u8> {
    let mut head = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: {}\r\n",
        socket.target, place.host, socket.protocol
    );
    if socket.protocol == "websocket" {
        head += "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    }
    for (name, value) in &socket.headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// Reads everything, as text.
fn text(connection: &mut Connection) -> Vec<String> {
    let mut all = Vec::new();
    let end = loop {
        match connection.take(1) {
            Ok(Some(bytes)) => all.extend(bytes),
            Ok(None) => break "closed",
            Err(error) => break told(&error),
        }
    };
    vec![shown(&all), end.to_owned()]
}

/// Reads frames to the end.
fn frames(connection: &mut Connection) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        match frame(connection) {
            Ok(Some(frame)) => events.push(frame),
            Ok(None) => {
                events.push("closed".into());
                return events;
            }
            Err(error) => {
                events.push(told(&error).into());
                return events;
            }
        }
    }
}

fn told(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "still open",
        // Whether a close is seen as a reset depends on what was not read yet.
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "closed",
        ErrorKind::UnexpectedEof => "closed in a frame",
        _ => "failed",
    }
}

fn frame(connection: &mut Connection) -> std::io::Result<Option<String>> {
    let Some(head) = connection.take(2)? else { return Ok(None) };
    let cut = || std::io::Error::from(ErrorKind::UnexpectedEof);
    let length = match head[1] & 0x7f {
        126 => number(&connection.take(2)?.ok_or_else(cut)?),
        127 => number(&connection.take(8)?.ok_or_else(cut)?),
        length => usize::from(length),
    };
    let payload = connection.take(length)?.ok_or_else(cut)?;
    let masked = if head[1] & 0x80 != 0 { " masked" } else { "" };
    Ok(Some(format!("frame {:#04x}{masked} {}", head[0], shown(&payload))))
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN {
        return format!("{:?}", bytes.escape_ascii().to_string());
    }
    let sum = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("{} bytes, checksum {sum:x}", bytes.len())
}
