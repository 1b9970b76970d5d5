//! The cases of Autobahn's catalogue, by their numbers.

use super::frames::{
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, bye, case, chopped, close, ended, part, raw, sent,
    unmasked, whole,
};
use super::utf8::{INVALID, VALID};
use crate::script::{Piece, Step};

pub(super) fn all() -> Vec<Step> {
    [framing(), pings(), reserved(), fragments(), texts(), closes(), limits()].concat()
}

/// 1: sizes of frames.
fn framing() -> Vec<Step> {
    let mut steps = Vec::new();
    for (group, opcode) in [("1.1", TEXT), ("1.2", BINARY)] {
        for length in [0, 1, 125, 126, 127, 128, 65535, 65536] {
            steps.push(ended(format!("{group}: {length} bytes"), &[whole(opcode, vec![b'*'; length])]));
        }
        steps.push(chopped(
            format!("{group}: 65536 bytes in pieces"),
            &[whole(opcode, vec![b'*'; 65536])],
            997,
        ));
    }
    // Lengths that could be written shorter.
    steps.push(case(
        "1: 5 bytes, 16 bits of length",
        &[vec![0x81, 0xfe, 0, 5, 0, 0, 0, 0, b'H', b'e', b'l', b'l', b'o'], bye()],
    ));
    steps.push(case(
        "1: 5 bytes, 64 bits of length",
        &[vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, b'H', b'e', b'l', b'l', b'o'], bye()],
    ));
    steps.push(case(
        "1: a length with its highest bit",
        &[vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ));
    steps.push(case("1: no mask", &[unmasked(0x81, b"Hello")]));
    steps.push(case(
        "1: a mask of zeroes",
        &[vec![0x81, 0x85, 0, 0, 0, 0, b'H', b'e', b'l', b'l', b'o'], bye()],
    ));
    steps
}

/// 2: pings and pongs.
fn pings() -> Vec<Step> {
    let ten: Vec<_> = (0..10).map(|n| whole(PING, format!("payload {n}"))).collect();
    vec![
        ended("2.1", &[whole(PING, "")]),
        ended("2.2", &[whole(PING, "Hello, world!")]),
        ended("2.3", &[whole(PING, [0, 255, 254, 253, 252, 251, 0, 255])]),
        ended("2.4", &[whole(PING, [254; 125])]),
        case("2.5", &[whole(PING, [254; 126])]),
        chopped("2.6", &[whole(PING, [254; 125])], 1),
        ended("2.7", &[whole(PONG, "")]),
        ended("2.8", &[whole(PONG, "unsolicited")]),
        ended("2.9", &[whole(PONG, "unsolicited"), whole(PING, "ping")]),
        ended("2.10", &ten),
        chopped("2.11", &ten, 1),
    ]
}

/// 3 and 4: reserved bits and opcodes.
fn reserved() -> Vec<Step> {
    let mut steps = Vec::new();
    for bits in 1..8 {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            steps.push(case(
                format!("3.{bits}: opcode {opcode}"),
                &[whole(TEXT, "before"), raw(0x80 | bits << 4 | opcode, b"Hello")],
            ));
        }
    }
    for opcode in (3..8).chain(11..16) {
        for payload in ["", "reserved"] {
            steps.push(case(
                format!("4: opcode {opcode}, {} bytes", payload.len()),
                &[whole(TEXT, "before"), whole(opcode, payload)],
            ));
        }
    }
    steps
}

/// 5 and 10: fragments.
fn fragments() -> Vec<Step> {
    let two = || [part(TEXT, "fragment1"), whole(CONTINUATION, "fragment2")];
    let with_ping = || [part(TEXT, "fragment1"), whole(PING, "ping"), whole(CONTINUATION, "fragment2")];
    let mut steps = vec![
        case("5.1", &[part(PING, "fragment1"), whole(CONTINUATION, "fragment2")]),
        case("5.2", &[part(PONG, "fragment1"), whole(CONTINUATION, "fragment2")]),
        ended("5.3", &two()),
        sent(
            "5.4",
            "/echo",
            vec![
                Piece::Answered,
                Piece::Bytes(part(TEXT, "fragment1")),
                Piece::Pause,
                Piece::Bytes([whole(CONTINUATION, "fragment2"), bye()].concat()),
            ],
        ),
        chopped("5.5", &two(), 1),
        ended("5.6", &with_ping()),
        sent(
            "5.7",
            "/echo",
            vec![
                Piece::Answered,
                Piece::Bytes([part(TEXT, "fragment1"), whole(PING, "ping")].concat()),
                Piece::Pause,
                Piece::Bytes([whole(CONTINUATION, "fragment2"), bye()].concat()),
            ],
        ),
        chopped("5.8", &with_ping(), 1),
        case("5.9", &[raw(0x80, b"non-continuation"), whole(TEXT, "Hello")]),
        case("5.12", &[raw(0, b"non-continuation")]),
        case(
            "5.15",
            &[
                part(TEXT, "fragment1"),
                whole(CONTINUATION, "fragment2"),
                part(CONTINUATION, "fragment3"),
                whole(TEXT, "fragment4"),
            ],
        ),
        case(
            "5.16",
            &[part(CONTINUATION, "fragment1"), part(TEXT, "fragment2"), whole(CONTINUATION, "fragment3")],
        ),
        case("5.18", &[part(TEXT, "fragment1"), whole(TEXT, "fragment2")]),
        ended(
            "5.19",
            &[
                part(TEXT, "fragment1"),
                part(CONTINUATION, "fragment2"),
                whole(PING, "ping1"),
                part(CONTINUATION, "fragment3"),
                part(CONTINUATION, "fragment4"),
                whole(PING, "ping2"),
                whole(CONTINUATION, "fragment5"),
            ],
        ),
        ended("5: empty fragments", &[part(TEXT, ""), part(CONTINUATION, ""), whole(CONTINUATION, "")]),
        case("5: closed in a message", &[part(TEXT, "fragment1"), bye()]),
    ];
    for size in [1, 7, 64, 1300] {
        let payload = vec![b'*'; 65536.min(size * 500)];
        let pieces: Vec<_> = payload.chunks(size).collect();
        let last = pieces.len() - 1;
        let frame = |(at, piece): (usize, &&[u8])| {
            raw(if at == last { 0x80 } else { 0 } | if at == 0 { BINARY } else { CONTINUATION }, piece)
        };
        let frames: Vec<_> = pieces.iter().enumerate().map(frame).collect();
        steps.push(ended(format!("10.1: fragments of {size} bytes"), &frames));
    }
    steps
}

/// 6: UTF-8, whole, in fragments within a character, and byte by byte.
fn texts() -> Vec<Step> {
    let mut steps = Vec::new();
    for (at, text) in VALID.into_iter().enumerate() {
        steps.push(ended(format!("6: valid {at}"), &[whole(TEXT, text)]));
        steps.push(ended(format!("6: valid {at} in fragments"), &bytewise(text)));
        steps.push(chopped(format!("6: valid {at} in pieces"), &[whole(TEXT, text)], 1));
    }
    for (at, text) in INVALID.into_iter().enumerate() {
        steps.push(case(format!("6: invalid {at}"), &[whole(TEXT, text)]));
        steps.push(ended(format!("6: invalid {at} as binary"), &[whole(BINARY, text)]));
        // What follows an invalid byte may never be read: nothing follows.
        steps.push(case(format!("6: invalid {at} behind a fragment"), &[part(TEXT, "a"), raw(0x80, text)]));
    }
    steps
}

/// A text, each byte of it a fragment.
fn bytewise(text: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = vec![part(TEXT, "")];
    frames.extend(text.iter().map(|byte| part(CONTINUATION, [*byte])));
    frames.push(whole(CONTINUATION, ""));
    frames
}

/// 7: the end.
fn closes() -> Vec<Step> {
    let mut steps = vec![
        ended("7.1.1", &[whole(TEXT, "Hello World!")]),
        case("7.1.2", &[bye(), bye()]),
        case("7.1.3", &[bye(), whole(PING, "late")]),
        case("7.1.4", &[bye(), whole(TEXT, "late")]),
        case("7.1.5", &[part(TEXT, "fragment1"), bye(), whole(CONTINUATION, "fragment2")]),
        ended("7.1.6", &[whole(TEXT, "b".repeat(256 * 1024)), whole(TEXT, "Hello World!")]),
        case("7.3.1", &[whole(CLOSE, "")]),
        case("7.3.2", &[whole(CLOSE, "a")]),
        case("7.3.3", &[whole(CLOSE, [3, 232])]),
        case("7.3.4", &[close(1000, b"Hello World!")]),
        case("7.3.5", &[close(1000, &[b'*'; 123])]),
        case("7.3.6", &[close(1000, &[b'*'; 124])]),
        case("7.5.1", &[close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")]),
    ];
    let valid =
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    let invalid = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
    for code in valid.into_iter().chain(invalid) {
        steps.push(case(format!("7.7, 7.9, 7.13: {code}"), &[close(code, b"")]));
        steps.push(case(format!("7.7, 7.9, 7.13: {code} with a reason"), &[close(code, b"reason")]));
    }
    steps
}

/// 9: limits and speed.
fn limits() -> Vec<Step> {
    let mut steps = Vec::new();
    for (group, opcode) in [("9.1", TEXT), ("9.2", BINARY)] {
        for size in [1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 23, 1 << 24] {
            let name = format!("{group}: {size} bytes");
            steps.push(sent(
                name,
                "/large",
                vec![Piece::Answered, Piece::Bytes([whole(opcode, vec![b'*'; size]), bye()].concat())],
            ));
        }
    }
    for size in [64, 1 << 10, 1 << 14, 1 << 18] {
        let total = (1_usize << 22).min(size * 2048);
        let mut frames = vec![part(TEXT, "")];
        frames.extend((0..total / size).map(|_| part(CONTINUATION, vec![b'*'; size])));
        frames.push(whole(CONTINUATION, ""));
        steps.push(ended(format!("9.3: {total} bytes in fragments of {size}"), &frames));
    }
    for size in [64, 512, 4096] {
        steps.push(chopped(
            format!("9.5: 64 KiB in pieces of {size}"),
            &[whole(TEXT, vec![b'*'; 1 << 16])],
            size,
        ));
    }
    for size in [0, 16, 256, 4096, 16384] {
        let messages: Vec<_> = (0..200).map(|_| whole(BINARY, vec![7; size])).collect();
        steps.push(ended(format!("9.7: 200 messages of {size} bytes"), &messages));
    }
    for size in [499, 500, 501, 1000, 1001, 100_000] {
        steps.push(sent(
            format!("a limit: a frame of {size} bytes"),
            "/limited",
            vec![
                Piece::Answered,
                Piece::Bytes(if size > 500 {
                    whole(TEXT, vec![b'*'; size])
                } else {
                    [whole(TEXT, vec![b'*'; size]), bye()].concat()
                }),
            ],
        ));
    }
    steps.push(sent(
        "a limit: fragments above it",
        "/limited",
        vec![
            Piece::Answered,
            Piece::Bytes(
                [part(TEXT, vec![b'*'; 500]), part(CONTINUATION, vec![b'*'; 500]), raw(0x80, b"more")]
                    .concat(),
            ),
        ],
    ));
    steps.push(case(
        "a frame above axum's default limit",
        &[vec![0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0]],
    ));
    steps
}
