//! [`Response`]: an HTTP response with assertions.

use serde_json::Value;
use ureq::http::{HeaderMap, StatusCode};

/// A response with its whole body.
#[derive(Debug)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, read to its end.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// A header's first value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "headers: {:?}, body: {body}", self.headers);
        self
    }

    /// Fails unless the body is this text.
    #[track_caller]
    pub fn assert_text(&self, text: &str) -> &Self {
        assert_eq!(String::from_utf8_lossy(&self.body), text);
        self
    }

    /// Fails unless this is a problem document (RFC 9457) with this status and a request id.
    #[track_caller]
    pub fn assert_problem(&self, status: u16) -> &Self {
        self.assert_status(status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(problem["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{problem}");
        assert_eq!(self.header("x-request-id"), problem["request_id"].as_str());
        self
    }
}
