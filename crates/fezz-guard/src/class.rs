//! Which bytes may stand where in a request's head: one table, so that scanning is one look-up a byte.

/// A set of bytes.
#[derive(Clone, Copy)]
pub(super) struct Class(u8);

/// `tchar`, of methods and header names (RFC 9110 5.6.2).
pub(super) const TOKEN: Class = Class(1);
/// What ends a target is anything else: a space, or a control character that must not be there.
pub(super) const TARGET: Class = Class(1 << 1);
/// A header's value: no control character but the tab (RFC 9110 5.5).
pub(super) const VALUE: Class = Class(1 << 2);
/// A registered name, an address or a port (RFC 3986 3.2.2), without the comma: a list of hosts is not a host.
pub(super) const HOST: Class = Class(1 << 3);
/// A path, as `http::Uri` takes it: hyper answers by itself, without a body, when it does not.
pub(super) const PATH: Class = Class(1 << 4);
/// A query, as `http::Uri` takes it.
pub(super) const QUERY: Class = Class(1 << 5);
/// What has one byte in UTF-8.
pub(super) const ASCII: Class = Class(1 << 6);
/// A host of which it need not be known where its parts begin and end.
pub(super) const NAME: Class = Class(1 << 7);

/// The classes that all bytes of a run were in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common(u8);

impl Common {
    /// Of no bytes.
    pub(super) const ALL: Self = Self(u8::MAX);

    /// Whether all bytes were in this set.
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

    /// How many bytes from the front are in this set, and what else they have in common.
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

    /// Whether all of `bytes` are.
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
