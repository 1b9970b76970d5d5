//! Quotation marks in a target, which hyper does not take and browsers send as `%22`.

use bytes::BytesMut;

/// Writes a head with each `"` of its query as `%22`, as browsers send it (RFC 3986 has no such character).
pub(super) fn escape_quotes(head: &[u8], to: &mut BytesMut) {
    let line = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
    let mut in_query = false;
    for byte in &head[..line] {
        in_query |= *byte == b'?';
        if in_query && *byte == b'"' {
            to.extend_from_slice(b"%22");
        } else {
            to.extend_from_slice(&[*byte]);
        }
    }
    to.extend_from_slice(&head[line..]);
}
