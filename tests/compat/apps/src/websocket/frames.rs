//! Frames as a client sends them.

use crate::script::{Piece, Socket, Step};

/// The mask of all frames: the answers do not depend on it.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// A frame: its first byte's flags and opcode as they are, its payload masked.
pub(super) fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A frame without a mask, which no client may send.
pub(super) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len(), 0);
    frame.extend(payload);
    frame
}

fn header(first: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..126 => header.push(mask | u8::try_from(length).unwrap_or_default()),
        126..65536 => {
            header.push(mask | 126);
            header.extend(u16::try_from(length).unwrap_or_default().to_be_bytes());
        }
        _ => {
            header.push(mask | 127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header
}

/// A whole message, or a control frame.
pub(super) fn whole(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    raw(0x80 | opcode, payload.as_ref())
}

/// A part of a message that is not its last.
pub(super) fn part(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    raw(opcode, payload.as_ref())
}

/// A close frame.
pub(super) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    whole(CLOSE, [&code.to_be_bytes(), reason].concat())
}

/// The normal end of a script: the server answers, and ends the connection.
pub(super) fn bye() -> Vec<u8> {
    close(1000, b"")
}

/// A script on `/echo`: all frames in one piece, behind the answer to the request.
pub(super) fn case(name: impl Into<String>, frames: &[Vec<u8>]) -> Step {
    sent(name, "/echo", vec![Piece::Answered, Piece::Bytes(frames.concat())])
}

/// The same, and the normal end.
pub(super) fn ended(name: impl Into<String>, frames: &[Vec<u8>]) -> Step {
    case(name, &[frames.concat(), bye()])
}

/// The same in pieces of this size.
pub(super) fn chopped(name: impl Into<String>, frames: &[Vec<u8>], size: usize) -> Step {
    let bytes = [frames.concat(), bye()].concat();
    let mut pieces = vec![Piece::Answered];
    for piece in bytes.chunks(size) {
        pieces.push(Piece::Bytes(piece.to_vec()));
    }
    sent(name, "/echo", pieces)
}

/// Any script.
pub(super) fn sent(name: impl Into<String>, target: &'static str, sent: Vec<Piece>) -> Step {
    Step::Socket(Socket { name: name.into(), target, protocol: "websocket", headers: Vec::new(), sent })
}
