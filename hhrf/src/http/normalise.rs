//! One form of a request, whatever version it came in and however its target was written: what routing, functions and
//! workers read.
//!
//! The recipient is in `host`, and only there; cookies are in one header.

use http::header::{COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};

use super::head_limits::HeadError;

/// Brings the head of a request into that form.
pub(super) fn normalise(head: &mut Parts) -> Result<(), HeadError> {
    if head.uri.authority().is_some() || head.version == Version::HTTP_2 {
        set_host(head)?;
    }
    // Only a repeated name makes more headers than names.
    if head.headers.len() != head.headers.keys_len() {
        join_cookies(&mut head.headers);
    }
    Ok(())
}

/// `host` from `:authority` (RFC 9113, section 8.3.1), or from a target in absolute form, which stands over a `host`
/// header (RFC 9112, section 3.2.2).
fn set_host(head: &mut Parts) -> Result<(), HeadError> {
    let sent = head.headers.get_all(HOST).iter().count();
    let Some(authority) = head.uri.authority() else {
        return if sent == 1 { Ok(()) } else { Err(HeadError::AmbiguousHost) };
    };
    if head.version == Version::HTTP_2 {
        let same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
        if sent > 1 || !head.headers.get_all(HOST).iter().all(same) {
            return Err(HeadError::AmbiguousHost);
        }
    }
    if authority.as_str().contains('@') {
        return Err(HeadError::AmbiguousHost);
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| HeadError::AmbiguousHost)?;
    head.headers.insert(HOST, host);
    Ok(())
}

/// HTTP/2 clients send a header for each cookie, which is one list elsewhere (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return };
    let mut joined = first.as_bytes().to_owned();
    for cookie in std::iter::once(second).chain(cookies) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    // What is made of values is one.
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn normalised(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        normalise(&mut head).ok()?;
        assert_eq!(head.version, version);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        Some(head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect())
    }

    #[track_caller]
    fn assert_normalised(
        (version, uri, headers): (Version, &str, &[(&str, &str)]),
        expected: Option<&[(&str, &str)]>,
    ) {
        let owned = |list: &[(&str, &str)]| {
            list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(normalised(version, uri, headers), expected.map(owned));
    }

    #[test]
    fn the_host_is_that_of_the_target() {
        let h2 = Version::HTTP_2;
        assert_normalised((h2, "http://a:1/x", &[]), Some(&[("host", "a:1")]));
        assert_normalised((h2, "http://a/x", &[("host", "A")]), Some(&[("host", "a")]));
        assert_normalised((h2, "http://a/x", &[("host", "b")]), None);
        assert_normalised((h2, "http://a/x", &[("host", "a"), ("host", "a")]), None);
        assert_normalised((h2, "/x", &[("host", "a")]), Some(&[("host", "a")]));
        assert_normalised((h2, "/x", &[]), None);
        assert_normalised((h2, "http://u@a/x", &[]), None);
        let h1 = Version::HTTP_11;
        assert_normalised((h1, "http://a/x", &[("host", "b")]), Some(&[("host", "a")]));
        assert_normalised((h1, "/x", &[("host", "b")]), Some(&[("host", "b")]));
        assert_normalised((Version::HTTP_10, "/x", &[]), Some(&[]));
    }

    #[test]
    fn cookies_are_one_header() {
        let cookies: &[_] =
            &[("cookie", "a=1"), ("x-b", "1"), ("cookie", "b=2; c=3"), ("x-b", "2"), ("cookie", "d")];
        let joined: &[_] = &[("cookie", "a=1; b=2; c=3; d"), ("x-b", "1"), ("x-b", "2")];
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let host: &[_] = if version == Version::HTTP_2 { &[("host", "a")] } else { &[] };
            assert_normalised((version, "/x", &[host, cookies].concat()), Some(&[host, joined].concat()));
        }
    }
}
