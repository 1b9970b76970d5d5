//! Sticky values: a header, or else a cookie, that keeps a client on one version behind an alias.

use http::{HeaderMap, HeaderName};

/// The names of the header and the cookie.
#[derive(Clone, Debug)]
pub(crate) struct Sticky {
    /// The header's name.
    pub(crate) header: HeaderName,
    /// The cookie's name.
    pub(crate) cookie: String,
}

impl Sticky {
    /// The client's value, where it sent one that is not empty.
    pub(super) fn value<'h>(&self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        let header = headers.get(&self.header).map(|value| value.as_bytes().trim_ascii());
        header.or_else(|| self.cookie(headers)).filter(|value| !value.is_empty())
    }

    /// RFC 6265, section 4.2: pairs between semicolons, in one header or, with HTTP/2, in several.
    fn cookie<'h>(&self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        let pairs = headers
            .get_all(http::header::COOKIE)
            .iter()
            .flat_map(|value| value.as_bytes().split(|b| *b == b';'));
        pairs
            .map(<[u8]>::trim_ascii)
            .find_map(|pair| pair.strip_prefix(self.cookie.as_bytes())?.strip_prefix(b"="))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let sticky = Sticky { header: HeaderName::from_static("x-user"), cookie: "user".to_owned() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, http::HeaderValue::from_static(value));
        }
        sticky.value(&map).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn the_header_stands_over_the_cookie() {
        assert_eq!(value(&[("cookie", "user=cookie"), ("x-user", " header ")]), Some("header".to_owned()));
    }

    #[test]
    fn the_cookie_is_found_among_others_by_its_whole_name() {
        assert_eq!(value(&[("cookie", "superuser=1; user2=2;user=3")]), Some("3".to_owned()));
        assert_eq!(value(&[("cookie", "a=1"), ("cookie", "user=4; b=2")]), Some("4".to_owned()));
        assert_eq!(value(&[("cookie", "superuser=1; user2=2; user")]), None);
    }

    #[test]
    fn an_empty_value_is_none() {
        assert_eq!(value(&[("x-user", "")]), None);
        assert_eq!(value(&[("cookie", "user=")]), None);
    }
}
