//! Cross-origin requests (the Fetch standard, section 3.3): answers to preflights, and the headers of other answers, where
//! the function's `fezz.json` has `cors`.
//!
//! The headers are those of tower-http's `CorsLayer`, which has one set of rules for a whole service.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use crate::function::CorsPolicy;

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The origin of a request, for a function that asks for it.
pub(super) fn origin(head: &Parts) -> Option<Box<HeaderValue>> {
    head.headers.get(ORIGIN).cloned().map(Box::new)
}

/// Whether a browser asks if it may send a request.
pub(super) fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The headers of the answer to a preflight, but for those that [`add`] adds to every answer.
///
/// The method is allowed whatever the routes say, so that a page can read the 404 or 405 that it gets.
pub(super) fn preflight(policy: &CorsPolicy, head: &Parts) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let asked = |name| head.headers.get(name).cloned();
    headers.append(
        VARY,
        HeaderValue::from_static("access-control-request-method, access-control-request-headers"),
    );
    let is_allowed = policy.allowed(head.headers.get(ORIGIN)).is_some();
    if !is_allowed {
        return headers;
    }
    let values = [
        (ACCESS_CONTROL_ALLOW_METHODS, asked(ACCESS_CONTROL_REQUEST_METHOD)),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            policy.headers.clone().or_else(|| asked(ACCESS_CONTROL_REQUEST_HEADERS)),
        ),
        (ACCESS_CONTROL_MAX_AGE, policy.max_age.clone()),
    ];
    for (name, value) in values {
        headers.extend(value.map(|value| (name, value)));
    }
    headers
}

/// Adds the headers that let a page of an allowed origin read this answer, unless the function has its own.
pub(super) fn add(policy: &CorsPolicy, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    if policy.varies() && !varies_by_origin(headers) {
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    let Some(allowed) = policy.allowed(origin) else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if policy.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    }
    let is_preflight = headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS);
    if !is_preflight && !headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS) {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, policy.expose.clone());
    }
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let mut names =
        headers.get_all(VARY).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.any(|name| matches!(name.trim_ascii(), b"*") || name.trim_ascii().eq_ignore_ascii_case(b"origin"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use fezz_manifest::{Cors, CorsOrigins};
    use http::{HeaderName, Request, Response};
    use tower::{ServiceBuilder, ServiceExt, service_fn};
    use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

    use super::*;

    const APP: &str = "https://app.example.com";

    fn policies() -> Vec<Cors> {
        let named =
            Cors { origins: CorsOrigins::Only(vec!["https://x.test".into(), APP.into()]), ..Cors::default() };
        let etag = vec![http::header::ETAG];
        let headers = Some(vec![http::header::AUTHORIZATION, http::header::CONTENT_TYPE]);
        vec![
            Cors { origins: CorsOrigins::Every, ..Cors::default() },
            Cors { origins: CorsOrigins::Every, expose: etag.clone(), max_age: Some(0), ..Cors::default() },
            Cors { headers: headers.clone(), ..named.clone() },
            Cors { headers, expose: etag, credentials: true, max_age: Some(600), ..named.clone() },
            Cors { credentials: true, ..named.clone() },
            named,
        ]
    }

    fn layer(cors: &Cors) -> CorsLayer {
        let value = |text: &String| HeaderValue::from_str(text).unwrap();
        let always = ["x-request-id", "retry-after"].map(HeaderName::from_static);
        let layer = CorsLayer::new()
            .allow_origin(match &cors.origins {
                CorsOrigins::Every => AllowOrigin::any(),
                CorsOrigins::Only(origins) => AllowOrigin::list(origins.iter().map(value)),
            })
            .allow_methods(AllowMethods::mirror_request())
            .allow_headers(match &cors.headers {
                None => AllowHeaders::mirror_request(),
                Some(headers) => AllowHeaders::list(headers.clone()),
            })
            .expose_headers(always.into_iter().chain(cors.expose.clone()).collect::<Vec<_>>())
            .allow_credentials(cors.credentials);
        match cors.max_age {
            None => layer,
            Some(seconds) => layer.max_age(Duration::from_secs(seconds)),
        }
    }

    fn request(method: Method, headers: &[(&'static str, &'static str)]) -> Request<String> {
        let mut request = Request::builder().method(method).header("origin", APP);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(String::new()).unwrap()
    }

    fn ours(cors: &Cors, request: Request<String>) -> HeaderMap {
        let (policy, head) = (CorsPolicy::new(cors), request.into_parts().0);
        let mut headers = if is_preflight(&head) { preflight(&policy, &head) } else { HeaderMap::new() };
        add(&policy, origin(&head).as_deref(), &mut headers);
        headers
    }

    /// The rules, without the white space in lists.
    fn rules(headers: &HeaderMap) -> Vec<String> {
        let is_rule = |name: &HeaderName| name.as_str().starts_with("access-control-");
        let rules = headers.iter().filter(|(name, _)| is_rule(name));
        let mut rules: Vec<_> = rules
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap().replace(' ', "")))
            .collect();
        rules.sort();
        rules
    }

    #[tokio::test]
    async fn an_allowed_origin_gets_the_rules_of_tower_http() {
        const METHOD: (&str, &str) = ("access-control-request-method", "PUT");
        for cors in policies() {
            for (method, headers) in [
                (Method::GET, &[][..]),
                (Method::OPTIONS, &[METHOD]),
                (Method::OPTIONS, &[METHOD, ("access-control-request-headers", "x-a, content-type")]),
            ] {
                let inner =
                    service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
                let theirs = ServiceBuilder::new().layer(layer(&cors)).service(inner);
                let theirs = theirs.oneshot(request(method.clone(), headers)).await.unwrap();
                let ours = ours(&cors, request(method, headers));
                assert_eq!(rules(&ours), rules(theirs.headers()), "{cors:?}");
            }
        }
    }

    #[test]
    fn what_the_function_says_is_left_as_it_is() {
        for cors in policies() {
            let mut headers = HeaderMap::new();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://own.test"));
            let before = headers.clone();
            add(&CorsPolicy::new(&cors), Some(&HeaderValue::from_static(APP)), &mut headers);
            assert_eq!(headers, before);
        }
    }

    #[test]
    fn vary_is_added_once() {
        let cors = policies().pop().unwrap();
        for (vary, expected) in [
            ("Accept, Origin", &["Accept, Origin"][..]),
            ("*", &["*"]),
            ("accept-encoding", &["accept-encoding", "origin"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(VARY, HeaderValue::from_static(vary));
            add(&CorsPolicy::new(&cors), None, &mut headers);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), expected);
        }
    }
}
