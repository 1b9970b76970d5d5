//! Passes requests on to the server that the variable `UPSTREAM` names, bodies streaming in both directions.
//!
//! The client lives in a static and keeps its connections from one call to the next, and over evictions.

use std::sync::OnceLock;

use fezz_sdk::http::{HeaderMap, HeaderName, Response, StatusCode, header};
use fezz_sdk::{Body, BodyStream, FezzError, FezzHttpRequest, fezz_function};
use reqwest::Client;

/// What concerns one connection only, or is the client's to say.
const OWN_HEADERS: [HeaderName; 4] =
    [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// One request, there and back.
#[fezz_function(stream)]
pub async fn proxy(req: FezzHttpRequest, body: BodyStream) -> Result<Response<Body>, FezzError> {
    let upstream =
        fezz_sdk::variable("UPSTREAM").ok_or_else(|| FezzError::internal("UPSTREAM is not set"))?;
    let target = format!("{upstream}{}?{}", req.path(), req.query_string());
    let mut request = client()
        .request(req.method().clone(), target.trim_end_matches('?'))
        .headers(passed_on(req.headers()));
    // Whoever sends no body is not made to send an empty one in chunks.
    if has_body(req.headers()) {
        request = request.body(reqwest::Body::wrap_stream(body));
    }
    let answer = request.send().await.map_err(|error| {
        FezzError::new(StatusCode::BAD_GATEWAY, "the upstream does not answer").caused_by(error)
    })?;
    let (status, headers) = (answer.status(), passed_on(answer.headers()));
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(Client::new)
}

/// A body has a length other than 0, or a type where its length is not known.
fn has_body(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_LENGTH)
        .map_or_else(|| headers.contains_key(header::CONTENT_TYPE), |length| length.as_bytes() != b"0")
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in OWN_HEADERS {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;

    use super::*;

    #[test]
    fn an_upstream_that_is_not_there_is_502() {
        let answer = TestRequest::get("/x").variable("UPSTREAM", "http://127.0.0.1:1").call(proxy);
        assert!(answer.assert_problem(502).text().contains("does not answer"));
    }

    #[test]
    fn without_an_upstream_it_is_500() {
        TestRequest::get("/x").call(proxy).assert_problem(500);
    }
}
