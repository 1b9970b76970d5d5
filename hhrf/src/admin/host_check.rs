//! Whether a request was meant for this listener.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use http::Uri;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

/// Whether the request names another host than this one, or comes from a page of another one.
pub(super) fn is_foreign(request: &Request, address: SocketAddr) -> bool {
    let header = |name| {
        request.headers().get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or_default())
    };
    let named = request.uri().host().map(str::to_owned).or_else(|| host_of(header(HOST)?));
    if !named.is_some_and(|host| is_ours(&host, address)) {
        return true;
    }
    // An opaque origin ("null") is a foreign one.
    header(ORIGIN).is_some_and(|origin| {
        let host = origin.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        !host.is_some_and(|host| is_ours(&host, address))
    })
}

fn host_of(value: &str) -> Option<String> {
    Some(value.parse::<Authority>().ok()?.host().to_owned())
}

/// `localhost`, a loopback address, or the address that is listened on. Where that is every address of the machine,
/// any address will do, but no name: an attacker's name can be made to point here, an address cannot.
fn is_ours(host: &str, address: SocketAddr) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(ip) = literal.parse::<IpAddr>() else { return false };
    ip.is_loopback() || ip == address.ip() || address.ip().is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(address: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut request = Request::builder().uri("/livez");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_foreign(&request.body(axum::body::Body::empty()).unwrap(), address.parse().unwrap())
    }

    #[test]
    fn this_machine_is_not_foreign() {
        for host in ["localhost:3001", "LOCALHOST", "127.0.0.1:3001", "127.0.0.1", "[::1]:3001"] {
            assert!(!foreign("127.0.0.1:3001", &[("host", host)]), "{host}");
        }
        assert!(!foreign("10.0.0.7:3001", &[("host", "10.0.0.7:3001")]));
        assert!(!foreign("0.0.0.0:3001", &[("host", "10.0.0.7:3001")]));
        assert!(!foreign("127.0.0.1:3001", &[("host", "localhost"), ("origin", "http://localhost:3001")]));
    }

    #[test]
    fn other_names_addresses_and_origins_are() {
        for host in
            ["attacker.example", "localhost.attacker.example", "10.0.0.8:3001", "", "a b", "127.0.0.1.nip.io"]
        {
            assert!(foreign("127.0.0.1:3001", &[("host", host)]), "{host}");
        }
        assert!(foreign("127.0.0.1:3001", &[]));
        assert!(foreign("0.0.0.0:3001", &[("host", "attacker.example")]));
        for origin in ["http://attacker.example", "null", "https://10.0.0.8"] {
            assert!(foreign("127.0.0.1:3001", &[("host", "localhost"), ("origin", origin)]), "{origin}");
        }
    }
}
