//! A reverse proxy: forwards requests to the server named by the variable `UPSTREAM`, streaming both bodies.
//!
//! The client is in a static, so its connections are kept between calls and across evictions.

use std::sync::OnceLock;

use fezz_sdk::http::{HeaderMap, HeaderName, Response, StatusCode, header};
use fezz_sdk::{Body, BodyStream, FezzError, FezzHttpRequest, fezz_function};
use reqwest::Client;

/// Headers that concern one connection, or that the HTTP client sets itself.
const CONNECTION_HEADERS: [HeaderName; 4] =
    [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// Forwards one request.
#[fezz_function(stream)]
pub async fn proxy(req: FezzHttpRequest, body: BodyStream) -> Result<Response<Body>, FezzError> {
    let upstream =
        fezz_sdk::variable("UPSTREAM").ok_or_else(|| FezzError::internal("UPSTREAM is not set"))?;
    let target = format!("{upstream}{}?{}", req.path(), req.query_string());
    let mut request = client()
        .request(req.method().clone(), target.trim_end_matches('?'))
        .headers(forwarded(req.headers()));
    // A request without a body must not become one with an empty chunked body.
    if has_body(req.headers()) {
        request = request.body(reqwest::Body::wrap_stream(body));
    }
    let answer = request.send().await.map_err(|error| {
        FezzError::new(StatusCode::BAD_GATEWAY, "the upstream does not answer").caused_by(error)
    })?;
    let (status, headers) = (answer.status(), forwarded(answer.headers()));
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(Client::new)
}

/// Whether the request has a body: a length other than 0 or, without a length, a content type.
fn has_body(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_LENGTH)
        .map_or_else(|| headers.contains_key(header::CONTENT_TYPE), |length| length.as_bytes() != b"0")
}

fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in CONNECTION_HEADERS {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;

    use super::*;

    #[test]
    fn an_unreachable_upstream_is_502() {
        let answer = TestRequest::get("/x").variable("UPSTREAM", "http://127.0.0.1:1").call(proxy);
        assert!(answer.assert_problem(502).text().contains("does not answer"));
    }

    #[test]
    fn without_an_upstream_it_is_500() {
        TestRequest::get("/x").call(proxy).assert_problem(500);
    }
}
