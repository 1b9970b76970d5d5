//! Validation of a request's target (RFC 9112 3.2) and `Host` (RFC 9110 7.2).
//!
//! They decide the recipient of a request, so a proxy and hyper must not read them differently.

use http::Uri;

use super::class::{ASCII, Common, HOST, NAME, PATH, QUERY};

/// Longest target that `http::Uri` can hold. To a longer one, hyper itself would respond, without a body.
pub(super) const MAX_LEN: usize = (u16::MAX - 1) as usize;

/// Whether `target` is valid for `method`: origin-form, absolute-form, or `*` for OPTIONS (RFC 9112 3.2).
/// `common` holds the classes that all bytes of `target` belong to.
pub(super) fn is_valid(method: &[u8], target: &[u8], common: Common) -> bool {
    match target {
        // The usual case, an ASCII path. The class excludes `?`, so there is no query.
        [b'/', ..] if common.within(PATH) && common.within(ASCII) => true,
        [b'/', ..] => is_origin_form(target),
        b"*" => method == b"OPTIONS",
        _ => is_absolute_form(target),
    }
}

/// Rejects a fragment, which hyper would cut off: a target has none (RFC 9112 3.2.1), and parsers could see
/// different paths. Accepts non-ASCII bytes if they are UTF-8, because curl sends them as typed.
fn is_origin_form(target: &[u8]) -> bool {
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let path = parts.next().unwrap_or_default();
    let query = parts.next().unwrap_or_default();
    let is_query = |byte: &u8| QUERY.has(*byte) || *byte == b'"';
    PATH.has_all(path) && query.iter().all(is_query) && std::str::from_utf8(target).is_ok()
}

/// How many quotation marks the query of a target in origin-form has. Clients may send them as typed.
pub(super) fn quotes_in_query(target: &[u8]) -> usize {
    let query = target.iter().position(|byte| *byte == b'?').map_or(&[][..], |at| &target[at..]);
    if target.starts_with(b"/") { query.iter().filter(|byte| **byte == b'"').count() } else { 0 }
}

/// Rejects user information (RFC 9110 4.2.4). This form is rare, so the allocation does not matter.
fn is_absolute_form(target: &[u8]) -> bool {
    if target.contains(&b'#') {
        return false;
    }
    Uri::try_from(target).is_ok_and(|uri| {
        let http = uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
        http && uri.authority().is_some_and(|authority| is_host(authority.as_str().as_bytes()))
    })
}

/// Whether `value` is a valid `Host`: `uri-host [ ":" port ]` (RFC 9110 7.2). An empty one is valid: a client
/// sends it if the target URI has no authority (RFC 9112 3.2).
pub(super) fn is_host(value: &[u8]) -> bool {
    let (length, _) = NAME.run(value, Common::ALL);
    match value.get(length) {
        None => return true,
        Some(b':') => return is_port(&value[length..]),
        Some(_) => {}
    }
    let Some(literal) = value.strip_prefix(b"[") else { return false };
    let mut parts = literal.splitn(2, |byte| *byte == b']');
    let address = parts.next().unwrap_or_default();
    HOST.has_all(literal) && is_address(address) && parts.next().is_some_and(is_port)
}

/// Checks only the brackets of an IP literal. Parsers do not disagree about the recipient behind an invalid
/// address.
fn is_address(text: &[u8]) -> bool {
    !text.is_empty() && !text.contains(&b'[')
}

/// Whether `text` is empty, or a colon and a port. The port may be empty (RFC 3986 3.2.3).
fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
    }
}
