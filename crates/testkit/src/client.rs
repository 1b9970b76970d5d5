//! The HTTP client of the tests.

use std::net::SocketAddr;

use ureq::http::{Method, Request};

use crate::Response;
use crate::wait::PATIENCE;

/// A client with its own connections. It follows no redirect: the answer is what is tested.
pub(crate) fn new_agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}

/// Sends a request and reads the whole response.
#[track_caller]
pub(crate) fn request_with(
    agent: &ureq::Agent,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).expect("a valid request");
    let response = agent.run(request).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let (parts, mut body) = response.into_parts();
    let body = body.with_config().limit(u64::MAX).read_to_vec().expect("the body arrives whole");
    Response { status: parts.status, headers: parts.headers, body }
}
