//! Byte classes of a request head, in one table: scanning costs one lookup for each byte.

/// A set of bytes: one bit of the table's entries.
#[derive(Clone, Copy)]
pub(super) struct Class(u8);

/// `tchar`, of methods and header names (RFC 9110 5.6.2).
pub(super) const TOKEN: Class = Class(1);
/// Bytes that do not end a target. Any other does: a space, or a control character, which is invalid.
pub(super) const TARGET: Class = Class(1 << 1);
/// Header values: no control character except tab (RFC 9110 5.5).
pub(super) const VALUE: Class = Class(1 << 2);
/// Host and port (RFC 3986 3.2.2 and 3.2.3), without the comma: a list of hosts is not a host.
pub(super) const HOST: Class = Class(1 << 3);
/// Paths that `http::Uri` accepts: for any other, hyper itself would respond, without a body.
pub(super) const PATH: Class = Class(1 << 4);
/// Queries that `http::Uri` accepts.
pub(super) const QUERY: Class = Class(1 << 5);
/// ASCII.
pub(super) const ASCII: Class = Class(1 << 6);
/// A host without port and brackets, so that it needs no further parsing.
pub(super) const NAME: Class = Class(1 << 7);

/// The classes that all bytes of a run belong to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common(u8);

impl Common {
    /// The classes common to no bytes: all.
    pub(super) const ALL: Self = Self(u8::MAX);

    /// Whether all bytes of the run are in `class`.
    pub(super) fn within(self, class: Class) -> bool {
        self.0 & class.0 != 0
    }
}

static TABLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = classes_of(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

impl Class {
    /// Whether `byte` is in this set.
    #[inline]
    pub(super) fn has(self, byte: u8) -> bool {
        TABLE[usize::from(byte)] & self.0 != 0
    }

    /// Length of the longest prefix of `bytes` in this set, and `common` narrowed to the classes of its
    /// bytes.
    #[inline]
    pub(super) fn run(self, bytes: &[u8], mut common: Common) -> (usize, Common) {
        let mut length = 0;
        for byte in bytes {
            let classes = TABLE[usize::from(*byte)];
            if classes & self.0 == 0 {
                break;
            }
            common.0 &= classes;
            length += 1;
        }
        (length, common)
    }

    /// Whether all of `bytes` are in this set.
    pub(super) fn has_all(self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.has(*byte))
    }
}

const fn classes_of(byte: u8) -> u8 {
    let alphanumeric = byte.is_ascii_alphanumeric();
    let visible = matches!(byte, 0x21..=0x7e | 0x80..);
    let mut classes = 0;
    if alphanumeric
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
    {
        classes |= TOKEN.0;
    }
    if visible {
        classes |= TARGET.0;
    }
    if visible || matches!(byte, b' ' | b'\t') {
        classes |= VALUE.0;
    }
    if alphanumeric
        || matches!(byte, b'!' | b'$'..=b'+' | b'-' | b'.' | b':' | b';' | b'=' | b'[' | b']' | b'_' | b'~')
    {
        classes |= HOST.0;
        if !matches!(byte, b':' | b'[' | b']') {
            classes |= NAME.0;
        }
    }
    if byte.is_ascii() {
        classes |= ASCII.0;
    }
    if visible && !matches!(byte, b'#' | b'<' | b'>' | b'?' | b'`') {
        classes |= PATH.0;
    }
    if visible && !matches!(byte, b'"' | b'#' | b'<' | b'>') {
        classes |= QUERY.0;
    }
    classes
}
