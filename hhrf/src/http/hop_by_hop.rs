//! Hop-by-hop headers, which concern one connection only and end at the host in both directions (RFC 9110, section
//! 7.6.1).

use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes the known hop-by-hop headers of a message, and those that its `Connection` header names. The others keep
/// their order; `te: trailers` stays, since the host passes trailers on. Returns the `Upgrade` header, if the `Connection`
/// header names it.
pub(super) fn strip(headers: &mut HeaderMap) -> Option<HeaderValue> {
    // A header that `Connection` names counts only beside `Connection`, which is itself a known one.
    if !headers.keys().any(is_known) {
        return None;
    }
    let connection: Vec<_> = headers.get_all(CONNECTION).iter().cloned().collect();
    let is_named = |name: &HeaderName| connection.iter().any(|list| names(list, name));
    let all = std::mem::take(headers);
    for (name, value) in &all {
        if is_te_trailers(name, value) || !is_known(name) && !is_named(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    all.get(UPGRADE).filter(|_| is_named(&UPGRADE)).cloned()
}

fn is_known(name: &HeaderName) -> bool {
    // No array of names, which would be made for each name that is compared.
    *name == CONNECTION
        || *name == TE
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == PROXY_AUTHENTICATE
        || *name == PROXY_AUTHORIZATION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

fn is_te_trailers(name: &HeaderName, value: &HeaderValue) -> bool {
    *name == TE && value.as_bytes().eq_ignore_ascii_case(b"trailers")
}

/// Whether the comma-separated list of a `Connection` header names this header.
fn names(list: &HeaderValue, name: &HeaderName) -> bool {
    let mut items = list.as_bytes().split(|byte| *byte == b',');
    items.any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_named_headers_are_stripped_and_others_keep_their_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-first", "1"),
            ("connection", "keep-alive, X-Named"),
            ("keep-alive", "timeout=5"),
            ("x-named", "1"),
            ("te", "gzip, trailers"),
            ("te", "trailers"),
            ("x-second", "1"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("x-third", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(strip(&mut headers), None, "`connection` does not name it");
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-first", "te", "x-second", "trailer", "x-third"]);
    }

    #[test]
    fn an_upgrade_is_one_that_the_connection_header_names() {
        let mut headers = HeaderMap::new();
        headers.append("connection", HeaderValue::from_static("keep-alive, Upgrade"));
        headers.append("upgrade", HeaderValue::from_static("websocket"));
        assert_eq!(strip(&mut headers), Some(HeaderValue::from_static("websocket")));
        assert!(headers.is_empty());
    }
}
