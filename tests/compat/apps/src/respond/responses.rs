//! What a handler can return: texts, tuples, headers, statuses, `Json`, `Html`, `Form`, `Option` and `Result`.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::{AppendHeaders, Html, IntoResponse, NoContent, Response};
use axum::routing::get;
use axum::{Extension, Form, Json, Router};
use serde::Serialize;
use serde_json::json;

use crate::Setup;
use crate::script::{Step, get as fetch, steps};

#[derive(Clone, Serialize)]
struct Point {
    x: f64,
    label: Option<&'static str>,
}

const POINT: Point = Point { x: 0.1, label: None };

type Made = fn() -> Response;

/// The answers, each at its own path.
const ANSWERS: &[(&str, Made)] = &[
    ("/unit", || ().into_response()),
    ("/str", || "text".into_response()),
    ("/string", || String::from("caf\u{e9}").into_response()),
    ("/cow", || Cow::Borrowed("cow").into_response()),
    ("/empty", || "".into_response()),
    ("/bytes", || Bytes::from_static(&[0, 159, 255]).into_response()),
    ("/vec", || vec![1_u8, 2, 3].into_response()),
    ("/array", || [1_u8, 2, 3].into_response()),
    ("/slice", || (&b"slice"[..]).into_response()),
    ("/html", || Html("<h1>html</h1>").into_response()),
    ("/json", || Json(POINT).into_response()),
    ("/json-list", || Json(vec![POINT; 100]).into_response()),
    ("/json-nan", || Json(json!({ "x": f64::NAN })).into_response()),
    ("/json-map-of-units", || Json(std::collections::BTreeMap::from([((), 1)])).into_response()),
    ("/form", || Form([("a", "1 2"), ("b", "\u{e9}&")]).into_response()),
    ("/no-content", || NoContent.into_response()),
    ("/status", || StatusCode::IM_A_TEAPOT.into_response()),
    ("/status-text", || (StatusCode::CREATED, "made").into_response()),
    ("/status-json", || (StatusCode::ACCEPTED, Json(json!({ "queued": true }))).into_response()),
    ("/unknown-status", || (StatusCode::from_u16(799).unwrap_or_default(), "799").into_response()),
    ("/headers", || {
        ([(header::CACHE_CONTROL, "no-store"), (header::ETAG, "\"1\"")], "headers").into_response()
    }),
    ("/headers-str", || ([("x-one", "1"), ("x-two", "2")], "headers").into_response()),
    ("/headers-bad", || ([("x bad", "1")], "headers").into_response()),
    ("/headers-twice", || ([("x-one", "1"), ("x-one", "2")], "the last one wins").into_response()),
    ("/append", || {
        (AppendHeaders([("set-cookie", "a=1"), ("set-cookie", "b=2")]), "appended").into_response()
    }),
    ("/map", || {
        (HeaderMap::from_iter([(header::VARY, HeaderValue::from_static("accept"))]), "map").into_response()
    }),
    ("/all", || {
        (
            StatusCode::PARTIAL_CONTENT,
            [("x-one", "1")],
            AppendHeaders([("x-one", "2")]),
            Extension(POINT),
            Json(POINT),
        )
            .into_response()
    }),
    ("/content-type", || ([(header::CONTENT_TYPE, "text/csv")], "a,b").into_response()),
    ("/content-types", || (AppendHeaders([(header::CONTENT_TYPE, "text/csv")]), "a,b").into_response()),
    ("/header-bytes", || {
        (
            [(
                HeaderName::from_static("x-bytes"),
                HeaderValue::from_bytes(b"caf\xe9").unwrap_or(HeaderValue::from_static("")),
            )],
            "",
        )
            .into_response()
    }),
    ("/header-empty", || ([("x-empty", "")], "").into_response()),
    ("/header-long", || ([("x-long", "v".repeat(8000))], "").into_response()),
    ("/many-headers", || {
        (0..90)
            .map(|n| (HeaderName::try_from(format!("x-{n}")).unwrap_or(header::VIA), HeaderValue::from(n)))
            .collect::<HeaderMap>()
            .into_response()
    }),
    ("/ok", || Ok::<_, StatusCode>("ok").into_response()),
    ("/err", || Err::<&str, _>((StatusCode::CONFLICT, "conflict")).into_response()),
    ("/some", || Some("some").map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)),
    ("/own-date", || ([(header::DATE, "Sat, 29 Oct 1994 19:43:31 GMT")], "dated").into_response()),
    ("/own-server", || ([(header::SERVER, "own")], "served").into_response()),
    ("/own-request-id", || ([("x-request-id", "own")], "id").into_response()),
    ("/own-connection", || ([(header::CONNECTION, "close")], "close").into_response()),
    ("/own-keep-alive", || ([("keep-alive", "timeout=5")], "keep-alive").into_response()),
    ("/own-version", || {
        let mut response = "version".into_response();
        *response.version_mut() = Version::HTTP_10;
        response
    }),
    ("/upgrade-header", || {
        ([(header::UPGRADE, "h3"), (header::ALT_SVC, "h3=\":443\"")], "upgrade").into_response()
    }),
    ("/hop-by-hop", || {
        (
            [
                ("proxy-authenticate", "Basic"),
                ("trailer", "x-sum"),
                ("te", "trailers"),
                ("proxy-connection", "close"),
            ],
            "hops",
        )
            .into_response()
    }),
    ("/links", || {
        (AppendHeaders([("link", "</a>; rel=preload"), ("link", "</b>; rel=preload")]), "links")
            .into_response()
    }),
    ("/100", || StatusCode::CONTINUE.into_response()),
    ("/103", || (StatusCode::EARLY_HINTS, [("link", "</a>; rel=preload")]).into_response()),
    ("/101", || StatusCode::SWITCHING_PROTOCOLS.into_response()),
    ("/204-text", || (StatusCode::NO_CONTENT, "text").into_response()),
    ("/204-length", || (StatusCode::NO_CONTENT, [(header::CONTENT_LENGTH, "0")]).into_response()),
    ("/205", || (StatusCode::RESET_CONTENT, "text").into_response()),
    ("/206", || {
        (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, "bytes 0-3/10")], "four").into_response()
    }),
    ("/304", || (StatusCode::NOT_MODIFIED, [(header::ETAG, "\"1\"")]).into_response()),
    ("/304-text", || (StatusCode::NOT_MODIFIED, "text").into_response()),
    ("/304-length", || (StatusCode::NOT_MODIFIED, [(header::CONTENT_LENGTH, "10")]).into_response()),
    ("/401", || {
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")], "no").into_response()
    }),
    ("/413", || (StatusCode::PAYLOAD_TOO_LARGE, "own 413").into_response()),
    ("/429", || (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "3")]).into_response()),
    ("/500", || (StatusCode::INTERNAL_SERVER_ERROR, "own 500").into_response()),
    ("/502", || StatusCode::BAD_GATEWAY.into_response()),
    ("/503", || (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "own 503").into_response()),
    ("/504", || StatusCode::GATEWAY_TIMEOUT.into_response()),
];

pub(crate) fn router(_: &Setup) -> Router {
    let add = |router: Router, (path, make): &(&str, Made)| {
        let make = *make;
        router.route(path, get(move || async move { make() }))
    };
    ANSWERS.iter().fold(Router::new(), add)
}

pub(crate) fn script() -> Vec<Step> {
    steps(ANSWERS.iter().map(|(path, _)| fetch(*path)))
}
