//! What a request says of itself: method, version, URI, headers, the matched path, the client's address.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::rejection::NestedPathRejection;
use axum::extract::{ConnectInfo, MatchedPath, NestedPath, OriginalUri, Request};
use axum::http::{HeaderMap, Method, Uri, Version};
use axum::routing::{any, get};
use axum_extra::TypedHeader;
use axum_extra::headers::authorization::{Basic, Bearer};
use axum_extra::headers::{
    Authorization, ContentLength, ContentType, Cookie, Host as HostHeader, IfModifiedSince, Range, UserAgent,
};
use axum_extra::typed_header::TypedHeaderRejection;

use crate::Setup;
use crate::script::{Request as Sent, Step, get as fetch, post, propfind, raw, steps};

#[expect(deprecated, reason = "applications still use it")]
mod deprecated {
    pub(super) async fn scheme(
        scheme: Result<axum_extra::extract::Scheme, axum_extra::extract::SchemeMissing>,
    ) -> String {
        scheme.map_or_else(|error| error.body_text(), |scheme| scheme.0)
    }

    pub(super) async fn host(axum_extra::extract::Host(host): axum_extra::extract::Host) -> String {
        host
    }
}

pub(crate) fn router(_: &Setup) -> Router {
    let inner = Router::new().route("/{id}", get(paths)).route("/inner/{*rest}", get(paths)).fallback(paths);
    Router::new()
        .route("/method", any(|method: Method| async move { method.to_string() }))
        .route("/version", any(|version: Version| async move { format!("{version:?}") }))
        .route("/uri/{*rest}", any(uri))
        .route("/headers", any(headers))
        .route("/request-id", any(|headers: HeaderMap| async move { format!("{:?}", headers.get("x-request-id")) }))
        .route("/extensions", any(|request: Request| async move { request.extensions().get::<ConnectInfo<SocketAddr>>().is_some().to_string() }))
        .route("/address", any(address))
        .route("/address-option", any(|address: Option<axum::Extension<ConnectInfo<SocketAddr>>>| async move { address.is_some().to_string() }))
        .route("/host", any(deprecated::host))
        .route("/scheme", any(deprecated::scheme))
        .route("/typed/agent", any(|TypedHeader(agent): TypedHeader<UserAgent>| async move { agent.to_string() }))
        .route("/typed/host", any(|TypedHeader(host): TypedHeader<HostHeader>| async move { format!("{host:?}") }))
        .route("/typed/length", any(|TypedHeader(length): TypedHeader<ContentLength>| async move { length.0.to_string() }))
        .route("/typed/type", any(|TypedHeader(kind): TypedHeader<ContentType>| async move { kind.to_string() }))
        .route("/typed/basic", any(|TypedHeader(auth): TypedHeader<Authorization<Basic>>| async move { format!("{} {}", auth.username(), auth.password()) }))
        .route("/typed/bearer", any(|TypedHeader(auth): TypedHeader<Authorization<Bearer>>| async move { auth.token().to_owned() }))
        .route("/typed/cookie", any(|TypedHeader(cookie): TypedHeader<Cookie>| async move { format!("{:?}", cookie.iter().collect::<Vec<_>>()) }))
        .route("/typed/range", any(|range: Option<TypedHeader<Range>>| async move { format!("{range:?}") }))
        .route("/typed/since", any(|since: Result<TypedHeader<IfModifiedSince>, TypedHeaderRejection>| async move { since.map_or_else(|error| error.to_string(), |since| format!("{since:?}")) }))
        .route("/matched/{id}/x", get(paths))
        .nest("/nest/{outer}", Router::new().nest("/more", inner.clone()).merge(inner))
        .fallback(paths)
}

async fn uri(uri: Uri, OriginalUri(original): OriginalUri) -> String {
    let part =
        |uri: &Uri| format!("{:?} {:?} {:?} {:?}", uri.scheme(), uri.authority(), uri.path(), uri.query());
    format!("{uri}\n{}\n{}", part(&uri), part(&original))
}

async fn headers(headers: HeaderMap) -> String {
    // The id is the host's own, and compared by `/request-id`; each connection has a port of its own.
    let headers = headers.iter().filter(|(name, _)| *name != "x-request-id" && *name != "x-local-port");
    headers.map(|(name, value)| format!("{name}: {value:?}\n")).collect()
}

/// The client's address; its port is compared with the one that the client has named.
async fn address(ConnectInfo(address): ConnectInfo<SocketAddr>, headers: HeaderMap) -> String {
    let named = headers.get("x-local-port").and_then(|port| port.to_str().ok()?.parse::<u16>().ok());
    format!("{} {}", address.ip(), named == Some(address.port()))
}

async fn paths(
    matched: Option<MatchedPath>,
    nested: Result<NestedPath, NestedPathRejection>,
    uri: Uri,
    OriginalUri(original): OriginalUri,
) -> String {
    format!(
        "{:?} {:?} {} {}",
        matched,
        nested.map_or_else(|error| error.body_text(), |nested| nested.as_str().to_owned()),
        uri,
        original
    )
}

const ANY: [&str; 18] = [
    "/method",
    "/version",
    "/uri/a/b?c=d",
    "/headers",
    "/extensions",
    "/address",
    "/address-option",
    "/host",
    "/scheme",
    "/typed/agent",
    "/typed/host",
    "/typed/length",
    "/typed/type",
    "/typed/basic",
    "/typed/bearer",
    "/typed/cookie",
    "/typed/range",
    "/typed/since",
];

fn requests(target: &'static str) -> Vec<Sent> {
    vec![
        fetch(target),
        fetch(target).header("x-local-port", "{port}"),
        post(target).body("abc"),
        propfind(target),
        fetch(target)
            .header("user-agent", "compat/1")
            .header("accept", "*/*")
            .header("accept-encoding", "gzip"),
        fetch(target).header("cookie", "a=1; b=2").header("authorization", "Basic YTpi"),
        fetch(target).header("authorization", "Bearer token"),
        fetch(target)
            .header("authorization", "nonsense")
            .header("range", "bytes=0-4")
            .header("if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        fetch(target)
            .header("x-many", "1")
            .header("x-many", "2")
            .header("x-many", "")
            .header("X-Case", " spaces\t"),
        fetch(target)
            .header("x-bytes", "caf\u{e9}")
            .header("range", "lines=1")
            .header("if-modified-since", "never")
            .http1_only(),
        fetch(target).header("forwarded", "for=1.2.3.4;host=other;proto=https"),
        fetch(target)
            .header("x-forwarded-host", "other.example")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-for", "1.2.3.4"),
        fetch(target)
            .header("x-request-id", "client-made")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        fetch(target).header("te", "trailers"),
        fetch(target).header("connection", "x-hop").header("x-hop", "1").http1_only(),
        fetch(target).header("keep-alive", "5").http1_only(),
        fetch(target)
            .header("proxy-authorization", "Basic YTpi")
            .header("via", "1.1 proxy")
            .header("max-forwards", "3"),
        post(target).chunks(&["a", "bc"]),
    ]
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/uri/",
        "/uri/a?",
        "/uri/a??",
        "/uri/a?b#c",
        "/uri/a%20b?c%20d",
        "/uri/a/?b=/?",
        "/matched/7/x",
        "/matched/%37/x",
        "/nest/a/7",
        "/nest/a/inner/x/y",
        "/nest/a/more/7",
        "/nest/a/more/inner/x?y",
        "/nest/a/no/such",
        "/nest/a",
        "/nest/a/",
        "/nest",
        "/nowhere",
        "/nowhere?x",
        "/nest/%61/7",
    ];
    let ids = [fetch("/request-id").as_written(), fetch("/request-id").header("x-request-id", "client-made")];
    let mut all = steps(ids.into_iter().chain(ANY.into_iter().flat_map(requests)).chain(paths.map(fetch)));
    let line = |line: &str| format!("{line}\r\nhost: own.example:81\r\nconnection: close\r\n\r\n");
    for (name, start) in [
        ("absolute form", "GET http://other.example/uri/a?b HTTP/1.1"),
        ("absolute form, host", "GET http://other.example/host HTTP/1.1"),
        ("absolute form, headers", "GET http://other.example/headers HTTP/1.1"),
        ("asterisk", "OPTIONS * HTTP/1.1"),
        ("absolute form, https", "GET https://other.example/uri/a HTTP/1.1"),
        ("version 1.0", "GET /version HTTP/1.0"),
        ("host", "GET /host HTTP/1.1"),
        ("lower-case method", "get /method HTTP/1.1"),
        ("own method", "FROBNICATE /method HTTP/1.1"),
        ("trace", "TRACE /method HTTP/1.1"),
        ("connect", "CONNECT other.example:80 HTTP/1.1"),
        ("empty query", "GET /uri/a? HTTP/1.1"),
        ("asterisk with GET", "GET * HTTP/1.1"),
        ("fragment", "GET /uri/a#b HTTP/1.1"),
        ("bytes in the target", "GET /uri/\u{e9} HTTP/1.1"),
    ] {
        all.push(raw(name, &[&line(start)]));
    }
    all.push(raw("no host, 1.0", &["GET /host HTTP/1.0\r\n\r\n"]));
    all.push(raw("no host, headers, 1.0", &["GET /headers HTTP/1.0\r\n\r\n"]));
    all.push(raw("no host, 1.1", &["GET /host HTTP/1.1\r\nconnection: close\r\n\r\n"]));
    all
}
