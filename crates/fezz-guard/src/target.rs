//! Judges a request's target and its `Host`: the two places that say whom a request is for, and so the two that a
//! proxy in front of us and hyper behind us must not read differently.

use http::Uri;

use super::class::{ASCII, Common, HOST, NAME, PATH, QUERY};

/// The longest target that `http::Uri` can hold; hyper answers a longer one by itself, without a body.
pub(super) const MAX_LEN: usize = (u16::MAX - 1) as usize;

/// Whether a request with `method` may have `target`, whose bytes have this in common: origin-form, absolute-form, or `*`
/// for OPTIONS (RFC 9112 3.2).
pub(super) fn is_valid(method: &[u8], target: &[u8], common: Common) -> bool {
    match target {
        // A path alone, as most are; a query would have its question mark.
        [b'/', ..] if common.within(PATH) && common.within(ASCII) => true,
        [b'/', ..] => is_origin_form(target),
        b"*" => method == b"OPTIONS",
        _ => is_absolute_form(target),
    }
}

/// A fragment is refused and not cut off as hyper does: it is never sent (RFC 9112 3.2.1), so whoever sends one wants
/// two readers to see two paths. Bytes beyond ASCII are taken where they are UTF-8, since curl sends them as typed.
fn is_origin_form(target: &[u8]) -> bool {
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let path = parts.next().unwrap_or_default();
    let query = parts.next().unwrap_or_default();
    PATH.has_all(path) && QUERY.has_all(query) && std::str::from_utf8(target).is_ok()
}

/// Rare enough that the allocation does not matter. User information is refused (RFC 9110 4.2.4).
fn is_absolute_form(target: &[u8]) -> bool {
    if target.contains(&b'#') {
        return false;
    }
    Uri::try_from(target).is_ok_and(|uri| {
        let http = uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
        http && uri.authority().is_some_and(|authority| is_host(authority.as_str().as_bytes()))
    })
}

/// Whether `value` can be a `Host`: `uri-host [ ":" port ]` (RFC 9110 7.2). An empty one is valid: it stands for a
/// target without an authority (RFC 9112 3.2).
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

/// What stands between brackets is not looked at further: no one routes by it differently.
fn is_address(text: &[u8]) -> bool {
    !text.is_empty() && !text.contains(&b'[')
}

/// Whether `text` is nothing, or a colon and a port, which may be empty (RFC 3986 3.2.3).
fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
    }
}
