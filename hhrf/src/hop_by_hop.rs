//! Headers that concern one connection only, and end here in both directions (RFC 9110, section 7.6.1).

use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The hop-by-hop headers of one message: the known ones, and those that its `Connection` header names.
#[derive(Debug)]
pub(crate) struct HopByHop<'a> {
    connection: Vec<&'a HeaderValue>,
}

impl<'a> HopByHop<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        // Empty for nearly every message, and then without an allocation. A look at all names costs less than a hash.
        let connection = headers.iter().filter(|(name, _)| *name == CONNECTION).map(|(_, value)| value);
        Self { connection: connection.collect() }
    }

    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        is_known(name) || self.connection.iter().any(|value| names(value, name))
    }

    /// Removes them from a message.
    pub(crate) fn strip(headers: &mut HeaderMap) {
        let this = HopByHop::of(headers);
        let found: Vec<_> = headers.keys().filter(|name| this.contains(name)).cloned().collect();
        for name in found {
            headers.remove(name);
        }
    }
}

fn is_known(name: &HeaderName) -> bool {
    // No array of names, which would be made for each name that is asked about.
    *name == CONNECTION
        || *name == TE
        || *name == TRAILER
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == PROXY_AUTHENTICATE
        || *name == PROXY_AUTHORIZATION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

/// Whether a `Connection` header's comma-separated list names this header.
fn names(list: &HeaderValue, name: &HeaderName) -> bool {
    let mut items = list.as_bytes().split(|byte| *byte == b',');
    items.any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_named_headers_are_stripped() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Named"),
            ("keep-alive", "timeout=5"),
            ("x-named", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("x-kept", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        HopByHop::strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }
}
