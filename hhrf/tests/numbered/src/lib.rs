//! Responds with the numbers that a test has written over its marks, one at each end of its data, so that a mix of two
//! builds is detected.

use std::hint::black_box;

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

#[repr(C)]
struct Marks {
    head: [u8; 16],
    filling: [u8; 256 * 1024],
    tail: [u8; 16],
}

static MARKS: Marks =
    Marks { head: *b"<head-00000000>\0", filling: [1; 256 * 1024], tail: *b"<tail-00000000>\0" };

/// `00000007-00000007`.
#[fezz_function]
pub fn numbered(_: FezzHttpRequest) -> FezzHttpResponse {
    // The file was patched, so the compiler must not use the values that it knows.
    let marks = black_box(&MARKS);
    black_box(&marks.filling);
    let number = |mark: &[u8; 16]| String::from_utf8_lossy(&mark[6..14]).into_owned();
    FezzHttpResponse::ok().text(format!("{}-{}", number(&marks.head), number(&marks.tail)))
}
